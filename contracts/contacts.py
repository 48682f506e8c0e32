"""Doorway *contacts*: how customers can be reached and what they allowed, one row per address.

Written by the brand; read by the query step (match keys of those who allow matching) and by the feature step (score
shards of those who may be contacted). Addresses never reach the feature table.
"""

from contracts.table import Column, TableContract

# Amazon Pinpoint API reference, ChannelType
CHANNEL_TYPES = (
    *("EMAIL", "SMS", "VOICE", "PUSH", "GCM", "APNS", "APNS_SANDBOX", "APNS_VOIP", "APNS_VOIP_SANDBOX", "ADM", "BAIDU"),
    *("CUSTOM", "IN_APP"),
)

CONTACTS = TableContract(
    name="contacts",
    columns=(
        Column("customer_key", "text"),
        Column("channel_type", "text", allowed=CHANNEL_TYPES),
        Column("address", "text"),
        Column("may_match", "boolean"),
        Column("may_contact", "boolean"),
    ),
    remedy="contacts needs customer_key (text), channel_type (EMAIL, SMS ...), address (text), "
    "may_match (boolean: consent to matching with the partner) and may_contact (boolean: consent to messages)",
)
