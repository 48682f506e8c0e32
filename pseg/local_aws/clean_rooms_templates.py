"""Analysis templates: SQL that a member stores in a collaboration for CUSTOM rules to allow by its ARN.

Refused: what is not one query over associated tables, parameters that do not fit their type, PySpark. A template's
text never changes: another text is another template, which the owners of the tables must allow anew.

Source: AWS Clean Rooms User Guide, "Analysis templates".
"""

from __future__ import annotations

from clean_rooms.analysis_rules import check
from pseg.local_aws.clean_rooms_queries import Analysis, sentence
from pseg.local_aws.clean_rooms_records import (
    Record,
    conflict,
    each,
    having,
    invalid,
    now,
    page,
    view,
    within_quota,
)
from pseg.local_aws.clean_rooms_tables import Tables
from pseg.local_aws.wire import AwsError, Call

TEXT_CODES = frozenset(  # what the checker finds in a template's text and defaults, whatever the rules of the day
    "sql-does-not-parse sql-not-understood not-a-select several-statements cache-table double-quotes no-table"
    " unknown-table qualified-table table-function parameter-unknown parameter-name parameter-value parameter-place"
    " too-many-parameters".split()
)
NOT_PROVIDED = ("schema", "errorMessageConfiguration", "syntheticDataParameters")


class Templates(Tables):
    """Analysis templates."""

    def create_analysis_template(self, call: Call, given: Record) -> Record:
        """Store a query for the collaboration of a membership."""
        membership = self.membership(call, given, active=True)
        own = having(self.templates, membershipId=membership["id"])
        within_quota("Analysis templates per membership", own)
        if given["format"] != "SQL" or "text" not in given["source"]:
            raise invalid("format: the embedded AWS runs templates of format SQL with source.text only")
        if extra := [name for name in NOT_PROVIDED if name in given]:
            raise invalid(f"the embedded AWS does not provide {', '.join(extra)} of an SQL template")
        if any(one["name"] == given["name"] for one in own):
            text = f"the membership has an analysis template named {given['name']} already"
            raise conflict("MEMBERSHIP", membership["id"], "ALREADY_EXISTS", text)
        template = self.new(call, f"membership/{membership['id']}/analysistemplate", given) | {
            "schema": {"referencedTables": self.referenced_tables(membership["collaborationId"], given, call.account)},
            "creatorAccountId": call.account,
            "membershipId": membership["id"],
            "membershipArn": membership["arn"],
            "collaborationId": membership["collaborationId"],
            "collaborationArn": membership["collaborationArn"],
        }
        self.templates[template["id"]] = template
        return {"analysisTemplate": view("AnalysisTemplate", template)}

    def get_analysis_template(self, call: Call, given: Record) -> Record:
        """Describe a template to the member who made it."""
        return {"analysisTemplate": view("AnalysisTemplate", self.template(call, given))}

    def update_analysis_template(self, call: Call, given: Record) -> Record:
        """Change the description; nothing else of a template changes."""
        template = self.template(call, given)
        template.update(description=given.get("description", template.get("description")), updateTime=now())
        return {"analysisTemplate": view("AnalysisTemplate", template)}

    def list_analysis_templates(self, call: Call, given: Record) -> Record:
        """List the templates of a membership."""
        found = having(self.templates, membershipId=self.membership(call, given)["id"])
        return page("analysisTemplateSummaries", "AnalysisTemplateSummary", found, given)

    def delete_analysis_template(self, call: Call, given: Record) -> None:
        """Delete a template; rules that name its ARN then allow nothing by it."""
        del self.templates[self.template(call, given)["id"]]

    def get_collaboration_analysis_template(self, call: Call, given: Record) -> Record:
        """Show a template, with its text, to any member of the collaboration."""
        collaboration = self.collaboration(call, given, joined=True)
        return {"collaborationAnalysisTemplate": self.shown(collaboration, given["analysisTemplateArn"])}

    def batch_get_collaboration_analysis_template(self, call: Call, given: Record) -> Record:
        """Show several templates; those that are not there come back as errors."""
        collaboration = self.collaboration(call, given, joined=True)
        found, errors = each(given["analysisTemplateArns"], lambda arn: self.shown(collaboration, arn), str)
        missing = [{"arn": one["name"], "code": one["code"], "message": one["message"]} for one in errors]
        return {"collaborationAnalysisTemplates": found, "errors": missing}

    def list_collaboration_analysis_templates(self, call: Call, given: Record) -> Record:
        """List the templates of all members of a collaboration."""
        found = having(self.templates, collaborationId=self.collaboration(call, given, joined=True)["id"])
        name = "CollaborationAnalysisTemplateSummary"
        return page("collaborationAnalysisTemplateSummaries", name, found, given)

    def template(self, call: Call, given: Record) -> Record:
        """Find a template of the caller's membership."""
        return self.part(self.templates, call, given, "analysisTemplateIdentifier")

    def template_in(self, collaboration: Record, arn: str) -> Record:
        """Find a template of a collaboration."""
        found = having(self.templates, arn=arn, collaborationId=collaboration["id"])
        if not found:
            text = f"the collaboration has no analysis template {arn}"
            raise AwsError("ResourceNotFoundException", text, resourceId=arn)
        return found[0]

    def shown(self, collaboration: Record, arn: str) -> Record:
        """Describe a template as every member sees it."""
        return view("CollaborationAnalysisTemplate", self.template_in(collaboration, arn))

    def referenced_tables(self, collaboration_id: str, given: Record, account: str) -> list[str]:
        """Check the SQL of a new template and name the tables that it reads."""
        parameters = given.get("analysisParameters", [])
        names = [one["name"] for one in parameters]
        if len(set(names)) != len(names):
            raise invalid("analysisParameters: a parameter is named twice")
        template = {"arn": "new", "analysisParameters": parameters}
        collaboration = self.collaborations[collaboration_id]
        verdict = check(given["source"]["text"], self.schemas(collaboration), account, template=template)
        if wrong := [sentence(one, given["source"]["text"]) for one in verdict.violations if one.code in TEXT_CODES]:
            raise invalid("; ".join(wrong), "INVALID_QUERY")
        return list(verdict.tables)

    def analysis(self, call: Call, collaboration: Record, sql: Record) -> Analysis:
        """Read what a protected query is to run: its own SQL, or a template of the collaboration with parameters."""
        arn, given = sql.get("analysisTemplateArn"), sql.get("parameters", {})
        if arn is None:
            if given:
                raise invalid("parameters: only with analysisTemplateArn", "INVALID_QUERY")
            return Analysis(sql.get("queryString", ""), call.account)
        if "queryString" in sql:
            raise invalid("sqlParameters: either queryString or analysisTemplateArn", "INVALID_QUERY")
        template = self.shown(collaboration, arn)
        return Analysis(template["source"]["text"], call.account, template, given)
