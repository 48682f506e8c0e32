"""Privacy budgets: one differential privacy template for a collaboration, and what queries have used of it.

Refused: access budgets, which are not enforced here. How much a query costs is our reading (docs/adr/0015).
Source: AWS Clean Rooms User Guide, "Differential privacy policy".
"""

from __future__ import annotations

from clean_rooms.analysis_rules.privacy_noise import NoisyQuery, PrivacyBudget
from pseg.local_aws.clean_rooms_records import Record, State, conflict, having, invalid, now, page, view
from pseg.local_aws.wire import Call


class Budgets(State):
    """Privacy budget templates and budgets."""

    def create_privacy_budget_template(self, call: Call, given: Record) -> Record:
        """Set the collaboration's budget; there is one, for all tables under differential privacy."""
        membership = self.membership(call, given, active=True)
        check_kind(given)
        for other in having(self.budgets, collaborationId=membership["collaborationId"]):
            text = f"the collaboration has the privacy budget template {other['id']} already"
            raise conflict("MEMBERSHIP", membership["id"], "ALREADY_EXISTS", text)
        template = self.new(call, "privacybudgettemplate", given) | {
            "membershipId": membership["id"],
            "membershipArn": membership["arn"],
            "collaborationId": membership["collaborationId"],
            "collaborationArn": membership["collaborationArn"],
            "creatorAccountId": call.account,
            "spent": {},
            "queries": 0,
        }
        template["privacyBudgetTemplateId"], template["privacyBudgetTemplateArn"] = template["id"], template["arn"]
        template["type"] = template["privacyBudgetType"]
        self.budgets[template["id"]] = template
        return {"privacyBudgetTemplate": view("PrivacyBudgetTemplate", template)}

    def get_privacy_budget_template(self, call: Call, given: Record) -> Record:
        """Describe a template to the member who made it."""
        return {"privacyBudgetTemplate": view("PrivacyBudgetTemplate", self.budget(call, given))}

    def update_privacy_budget_template(self, call: Call, given: Record) -> Record:
        """Change the noise, or the budget: after the first query it can only be raised."""
        template = self.budget(call, given)
        check_kind(given)
        old, new = template["parameters"]["differentialPrivacy"], given["parameters"]["differentialPrivacy"]
        if template["queries"] and new["epsilon"] < old["epsilon"]:
            raise invalid(f"epsilon: after the first query the budget of {old['epsilon']} can only be raised")
        template.update(parameters=given["parameters"], updateTime=now())
        return {"privacyBudgetTemplate": view("PrivacyBudgetTemplate", template)}

    def list_privacy_budget_templates(self, call: Call, given: Record) -> Record:
        """List the templates of a membership."""
        found = having(self.budgets, membershipId=self.membership(call, given)["id"])
        return page("privacyBudgetTemplateSummaries", "PrivacyBudgetTemplateSummary", found, given)

    def delete_privacy_budget_template(self, call: Call, given: Record) -> None:
        """Take the budget away; tables under differential privacy can then not be queried."""
        del self.budgets[self.budget(call, given)["id"]]

    def list_privacy_budgets(self, call: Call, given: Record) -> Record:
        """Tell a membership what is left of its collaboration's budget."""
        found = self.budgets_in(self.membership(call, given)["collaborationId"], given)
        return page("privacyBudgetSummaries", "PrivacyBudgetSummary", found, given)

    def list_collaboration_privacy_budgets(self, call: Call, given: Record) -> Record:
        """Tell any member what is left of the budget."""
        found = self.budgets_in(self.collaboration(call, given, joined=True)["id"], given)
        return page("collaborationPrivacyBudgetSummaries", "CollaborationPrivacyBudgetSummary", found, given)

    def preview_privacy_impact(self, call: Call, given: Record) -> Record:
        """Tell how many aggregations a budget with this noise would buy."""
        self.membership(call, given)
        wanted = given["parameters"]["differentialPrivacy"]
        bought = PrivacyBudget(wanted["epsilon"], wanted["usersNoisePerQuery"]).content["aggregations"]
        counts = [{"type": one["type"], "maxCount": one["maxCount"]} for one in bought]
        return {"privacyImpact": {"differentialPrivacy": {"aggregations": counts}}}

    def budget(self, call: Call, given: Record) -> Record:
        """Find a template of the caller's membership."""
        return self.part(self.budgets, call, given, "privacyBudgetTemplateIdentifier")

    def budgets_in(self, collaboration_id: str, given: Record) -> list[Record]:
        """Budgets of a collaboration, of the type asked for."""
        found = having(self.budgets, collaborationId=collaboration_id, type=given["privacyBudgetType"])
        return [one | {"budget": {"differentialPrivacy": left_of(one).content}} for one in found]

    def privacy_budget(self, collaboration_id: str) -> PrivacyBudget | None:
        """Find what is left of a collaboration's budget."""
        found = having(self.budgets, collaborationId=collaboration_id)
        return left_of(found[0]) if found else None

    def spend(self, collaboration_id: str, noisy: NoisyQuery | None) -> None:
        """Take what a query costs from the budget when it starts, whatever becomes of it."""
        for template in having(self.budgets, collaborationId=collaboration_id) if noisy else ():
            budget = left_of(template)
            template["spent"][period(template)] = budget.spent + (noisy.epsilon(budget.noise) if noisy else 0)
            template["queries"] += 1


def check_kind(given: Record) -> None:
    """Refuse budgets that are not enforced here."""
    if given["privacyBudgetType"] != "DIFFERENTIAL_PRIVACY" or "differentialPrivacy" not in given["parameters"]:
        raise invalid("privacyBudgetType: the embedded AWS enforces DIFFERENTIAL_PRIVACY only, no access budget")


def period(template: Record) -> str:
    """Name the time for which a budget lasts: this month, or for ever."""
    return now().strftime("%Y-%m") if template.get("autoRefresh") == "CALENDAR_MONTH" else ""


def left_of(template: Record) -> PrivacyBudget:
    """Read a budget's parameters and what is spent of it in its time."""
    given = template["parameters"]["differentialPrivacy"]
    spent = template["spent"].get(period(template), 0.0)
    return PrivacyBudget(given["epsilon"], given["usersNoisePerQuery"], spent, template["queries"])
