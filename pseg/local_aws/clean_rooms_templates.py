"""Analysis templates: SQL that a member stores in a collaboration for CUSTOM rules to allow by its ARN.

Refused: what is not one query over associated tables, parameters that do not fit their type, PySpark. A template's
text never changes: another text is another template, which the owners of the tables must allow anew.

Source: AWS Clean Rooms User Guide, "Analysis templates".
"""

from __future__ import annotations

from sqlglot import exp

from pseg.local_aws.clean_rooms_records import (
    Record,
    State,
    conflict,
    each,
    having,
    invalid,
    now,
    page,
    view,
    within_quota,
)
from pseg.local_aws.clean_rooms_sql import Analysis, QueryRefused, bind, literal, parse_query, tables_of
from pseg.local_aws.wire import AwsError, Call

NOT_PROVIDED = ("schema", "errorMessageConfiguration", "syntheticDataParameters")


class Templates(State):
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
            "schema": {"referencedTables": self.referenced_tables(membership["collaborationId"], given)},
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

    def referenced_tables(self, collaboration_id: str, given: Record) -> list[str]:
        """Check the SQL of a new template and name the tables that it reads."""
        parameters = given.get("analysisParameters", [])
        names = [one["name"] for one in parameters]
        if len(set(names)) != len(names):
            raise invalid("analysisParameters: a parameter is named twice")
        tables = {link["name"].lower() for link in self.links_in(collaboration_id)}
        try:
            values = {
                one["name"]: literal(one["name"], one["type"], one["defaultValue"])
                if "defaultValue" in one
                else exp.null()
                for one in parameters
            }
            return tables_of(bind(parse_query(given["source"]["text"]), values), tables)
        except QueryRefused as refused:
            raise invalid(str(refused), "INVALID_QUERY") from refused

    def analysis(self, call: Call, collaboration: Record, sql: Record) -> Analysis:
        """Read what a protected query is to run: its own SQL, or a template of the collaboration with parameters."""
        arn, given = sql.get("analysisTemplateArn"), sql.get("parameters", {})
        if arn is None:
            if given:
                raise invalid("parameters: only with analysisTemplateArn", "INVALID_QUERY")
            return Analysis(sql.get("queryString", ""), call.account, call.account)
        if "queryString" in sql:
            raise invalid("sqlParameters: either queryString or analysisTemplateArn", "INVALID_QUERY")
        template = self.template_in(collaboration, arn)
        declared = {one["name"]: one for one in template.get("analysisParameters", [])}
        values = {name: given.get(name, one.get("defaultValue")) for name, one in declared.items()}
        wrong = [f"{name} is not a parameter of the template" for name in sorted(set(given) - set(declared))]
        wrong += [f"{name} has neither a value nor a default" for name, value in values.items() if value is None]
        if wrong:
            raise invalid(f"parameters: {'; '.join(wrong)}", "INVALID_QUERY")
        parameters = {name: (declared[name]["type"], value) for name, value in values.items()}
        return Analysis(template["source"]["text"], call.account, template["account"], arn, parameters)
