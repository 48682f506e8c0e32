"""partner.toml is printed by the brand, filled in by the partner, and says what the project says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import SettingsError
from pseg.collaboration_terms import open_side, print_terms
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT
from tests.worlds import write_project

LIST = f'[query]\npartner_account = "{PARTNER_ACCOUNT}"\ncolumns = ["affinity", "band", "attribute_date"]'
CUSTOM = LIST.replace("[query]", '[query]\nrule = "CUSTOM"\ntemplate = "match_all"')
SQL = "SELECT m.customer_key, p.band, p.affinity FROM match_keys m JOIN partner_attributes p USING (hashed_id)\n"


def make_brand(folder: Path, query: str = LIST, sql: str = SQL) -> Path:
    """A project with a partner."""
    project = write_project(folder / "spring", customers=5, query=query)
    (project / "match_all.sql").write_text(sql)
    return project


def fill_in(text: str) -> str:
    """Do what the partner does with partner.toml."""
    return text.replace("<database>/<table>", "marketing/attributes").replace("<name>", "reader")


def printed(folder: Path, query: str = LIST) -> str:
    """The filled-in partner.toml of a project."""
    return fill_in(print_terms(open_side(make_brand(folder, query), BRAND_ACCOUNT).agreement))


@pytest.mark.parametrize("query", [LIST, CUSTOM], ids=["LIST", "CUSTOM"])
def test_both_files_say_the_same(tmp_path: Path, query: str) -> None:
    file = tmp_path / "partner.toml"
    file.write_text(printed(tmp_path, query))
    brand, partner = open_side(tmp_path / "spring", BRAND_ACCOUNT), open_side(file, PARTNER_ACCOUNT)
    assert (brand.party, partner.party) == ("brand", "partner")
    assert brand.agreement == partner.agreement
    assert partner.table.role_arn == f"arn:aws:iam::{PARTNER_ACCOUNT}:role/reader"
    assert (partner.table.glue_database, partner.table.glue_table) == ("marketing", "attributes")
    assert brand.agreement.partner_table.list_columns == (
        ("affinity", "band", "attribute_date") if query == LIST else ("affinity", "band")
    )
    assert open_side(tmp_path, PARTNER_ACCOUNT).agreement == partner.agreement  # the folder does as well


def test_partner_file_as_printed_does_not_pass_as_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "partner.toml"
    file.write_text(print_terms(open_side(make_brand(tmp_path), BRAND_ACCOUNT).agreement))
    with pytest.raises(SettingsError, match=r"table.glue.*<database>/<table>") as caught:
        open_side(file, PARTNER_ACCOUNT)
    assert caught.value.where == f"{file}:10"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('rule = "LIST"', 'rule = "CUSTOM"', "allows the templates"),
        ('rule = "LIST"', 'rule = "LIST"\nrules = 1', "unknown key; did you mean rule"),
        ("[table]", "[table]\nrol = 1", "unknown key; did you mean role"),
        ('join_columns = ["hashed_id"]', "join_columns = []", "table.join_columns"),
        (f'brand_account = "{BRAND_ACCOUNT}"', 'brand_account = "1"', "brand_account"),
        (":role/reader", ":user/reader", "table.role"),
        ('columns = ["affinity"', 'columns = ["Affinity"', "table.columns"),
    ],
    ids=["no template", "unknown key", "unknown key of the table", "no join column", "account", "role", "column"],
)
def test_wrong_terms_are_named(tmp_path: Path, old: str, new: str, what: str) -> None:
    file, text = tmp_path / "partner.toml", printed(tmp_path)
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        open_side(file, PARTNER_ACCOUNT)
    assert what in caught.value.what
    assert str(file) in caught.value.where


def test_template_is_allowed_by_the_hash_of_its_text_alone(tmp_path: Path) -> None:
    file, text = tmp_path / "partner.toml", printed(tmp_path, CUSTOM)
    line = next(line for line in text.splitlines() if line.startswith("match_all"))
    file.write_text(text.replace(line, 'match_all = "any"'))
    with pytest.raises(SettingsError, match=r"templates.match_all"):
        open_side(file, PARTNER_ACCOUNT)


@pytest.mark.parametrize(("party", "account"), [("brand", PARTNER_ACCOUNT), ("partner", BRAND_ACCOUNT)])
def test_nobody_acts_with_the_other_partys_credentials(tmp_path: Path, party: str, account: str) -> None:
    (tmp_path / "partner.toml").write_text(printed(tmp_path))
    path = tmp_path / ("spring" if party == "brand" else "partner.toml")
    with pytest.raises(SettingsError, match=rf"these credentials are of account {account}") as caught:
        open_side(path, account)
    assert f"--party {party}" in caught.value.fix


def test_project_without_the_partners_account_says_which_key(tmp_path: Path) -> None:
    project = make_brand(tmp_path, LIST.replace(f'partner_account = "{PARTNER_ACCOUNT}"\n', ""))
    with pytest.raises(SettingsError, match=r"query.partner_account is not set"):
        open_side(project, BRAND_ACCOUNT)


def test_template_with_a_star_can_not_say_which_columns_the_partner_lets_in(tmp_path: Path) -> None:
    project = make_brand(tmp_path, CUSTOM, SQL.replace("p.band, p.affinity", "p.*"))
    with pytest.raises(SettingsError, match="reads all columns of partner_attributes"):
        open_side(project, BRAND_ACCOUNT)


def test_folder_with_neither_file_says_which_are_meant(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"neither project.toml nor partner.toml"):
        open_side(tmp_path, BRAND_ACCOUNT)


def test_names_with_quotes_survive_the_file(tmp_path: Path) -> None:
    agreement = open_side(make_brand(tmp_path), BRAND_ACCOUNT).agreement
    odd = replace(agreement, collaboration='the "spring" \\ sale')
    file = tmp_path / "partner.toml"
    file.write_text(fill_in(print_terms(odd)))
    assert open_side(file, PARTNER_ACCOUNT).agreement == odd
