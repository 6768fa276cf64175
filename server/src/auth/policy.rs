//! The policy file: which identities may do what to which resources. What no rule allows is denied.
//!
//! ```toml
//! [[rules]]
//! identities = ["token:billing", "cert:*.billing.svc"]   # any of them …
//! claims = { team = "billing" }                           # … that has all of these (JWT)
//! resources = ["billing/*"]
//! allow = ["acquire", "extend", "watch"]
//! ```
//!
//! Deliberately absent: rules that deny, and an order of rules. Whatever any rule allows is allowed.

use super::identity::{Caller, Identity};
use super::pattern::Pattern;
use super::permission::Permission;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// All rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// Empty: whoever has the claims.
    identities: Vec<Pattern>,
    claims: Vec<(String, Pattern)>,
    resources: Vec<Pattern>,
    allow: Vec<Permission>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    #[serde(default)]
    rules: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    identities: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    resources: Vec<String>,
    allow: Vec<Permission>,
}

impl Policy {
    /// Reads the file's text; all that is wrong with its rules is told together.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let raw: RawPolicy =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let problems: Vec<String> = raw
            .rules
            .iter()
            .enumerate()
            .flat_map(|(place, rule)| {
                rule.problems().into_iter().map(move |problem| format!("rules[{place}]: {problem}"))
            })
            .collect();
        match problems.is_empty() {
            true => Ok(Self(raw.rules.into_iter().map(Rule::from).collect())),
            false => Err(problems.join("; ")),
        }
    }

    /// May `caller` do this, to this resource? Without a resource: to any at all.
    pub(super) fn allows(
        &self,
        caller: &Caller,
        permission: Permission,
        resource: Option<&str>,
    ) -> bool {
        let Caller::Known(identity) = caller else { return false };
        self.0.iter().any(|rule| {
            rule.allow.contains(&permission)
                && rule.is_about(identity)
                && (!permission.has_resource() || rule.covers(resource))
        })
    }
}

impl RawRule {
    fn problems(&self) -> Vec<&'static str> {
        let about_resources = self.allow.iter().any(|permission| permission.has_resource());
        let empty = self.identities.iter().any(String::is_empty);
        [
            (
                self.identities.is_empty() && self.claims.is_empty(),
                "needs identities or claims; identities = [\"*\"] is everybody who is known",
            ),
            (empty, "identities: one is empty"),
            (self.allow.is_empty(), "allow: is empty; it must name what is allowed"),
            (
                about_resources && self.resources.is_empty(),
                "resources: is missing; [\"*\"] is all of them",
            ),
            (!about_resources && !self.resources.is_empty(), "resources: admin is about none"),
        ]
        .into_iter()
        .filter_map(|(is_so, problem)| is_so.then_some(problem))
        .collect()
    }
}

impl From<RawRule> for Rule {
    fn from(raw: RawRule) -> Self {
        let patterns = |texts: Vec<String>| texts.iter().map(|text| Pattern::new(text)).collect();
        let claim = |(name, value): (String, String)| (name, Pattern::new(&value));
        Self {
            identities: patterns(raw.identities),
            claims: raw.claims.into_iter().map(claim).collect(),
            resources: patterns(raw.resources),
            allow: raw.allow,
        }
    }
}

impl Rule {
    fn is_about(&self, identity: &Identity) -> bool {
        let named = self.identities.is_empty()
            || self.identities.iter().any(|pattern| pattern.matches(identity.name()));
        named
            && self.claims.iter().all(|(name, pattern)| {
                identity.claims().get(name).is_some_and(|value| has(value, pattern))
            })
    }

    fn covers(&self, resource: Option<&str>) -> bool {
        resource.is_none_or(|name| self.resources.iter().any(|pattern| pattern.matches(name)))
    }
}

/// A list, such as of groups, has what any of its elements is.
fn has(value: &Value, pattern: &Pattern) -> bool {
    match value {
        Value::String(text) => pattern.matches(text),
        Value::Bool(_) | Value::Number(_) => pattern.matches(&value.to_string()),
        Value::Array(values) => values.iter().any(|value| !value.is_array() && has(value, pattern)),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    const POLICY: &str = r#"
        [[rules]]
        identities = ["token:billing", "cert:*.billing.svc"]
        resources = ["billing/*", "invoices"]
        allow = ["acquire", "extend"]

        [[rules]]
        claims = { groups = "sre", level = "3" }
        resources = ["*"]
        allow = ["describe", "force-release"]

        [[rules]]
        claims = { groups = "sre" }
        allow = ["admin"]

        [[rules]]
        identities = ["jwt:*"]
        claims = { team = "billing" }
        resources = ["billing/*"]
        allow = ["watch"]
    "#;

    fn known(identity: Option<Identity>) -> Caller {
        Caller::Known(Arc::new(identity.unwrap()))
    }

    fn jwt(claims: Value) -> Caller {
        known(Identity::of_jwt("alice", claims.as_object().unwrap().clone()))
    }

    #[test]
    fn what_no_rule_allows_is_denied() {
        let policy = Policy::parse(POLICY).unwrap();
        let token = || known(Identity::of_token("billing"));
        let sre = || jwt(json!({"groups": ["dev", "sre"], "level": 3}));
        for (caller, permission, resource, allowed) in [
            (token(), Permission::Acquire, "billing/42", true),
            (token(), Permission::Extend, "invoices", true),
            (token(), Permission::Acquire, "invoices/1", false),
            (token(), Permission::Watch, "billing/42", false),
            (token(), Permission::ForceRelease, "billing/42", false),
            (known(Identity::of_token("billing2")), Permission::Acquire, "billing/42", false),
            (known(Identity::of_certificate("billing")), Permission::Acquire, "billing/42", false),
            (
                known(Identity::of_certificate("a.billing.svc")),
                Permission::Acquire,
                "billing/1",
                true,
            ),
            (sre(), Permission::ForceRelease, "anything", true),
            (sre(), Permission::Acquire, "anything", false),
            (jwt(json!({"groups": "sre"})), Permission::ForceRelease, "anything", false),
            (jwt(json!({"groups": [["sre"]], "level": 3})), Permission::Describe, "x", false),
            (jwt(json!({"team": "billing"})), Permission::Watch, "billing/1", true),
            (jwt(json!({"team": "billing"})), Permission::Watch, "orders/1", false),
            (jwt(json!({"team": {"billing": 1}})), Permission::Watch, "billing/1", false),
            (Caller::Anyone, Permission::Watch, "billing/1", false),
        ] {
            assert_eq!(
                policy.allows(&caller, permission, Some(resource)),
                allowed,
                "{caller} {permission} {resource}"
            );
        }
        assert!(policy.allows(&sre(), Permission::Admin, None));
        assert!(!policy.allows(&token(), Permission::Admin, None));
        assert!(policy.allows(&token(), Permission::Acquire, None), "somewhere");
        assert!(!policy.allows(&token(), Permission::Describe, None), "nowhere");
    }

    #[test]
    fn an_empty_policy_allows_nothing() {
        let policy = Policy::parse("").unwrap();
        assert!(!policy.allows(&known(Identity::of_token("a")), Permission::Admin, None));
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let wrong = "[[rules]]\nallow = []\n[[rules]]\nidentities = ['a']\nallow = ['acquire']\n\
                     [[rules]]\nidentities = ['']\nresources = ['a']\nallow = ['admin']";
        let problems = Policy::parse(wrong).unwrap_err();
        for problem in [
            "rules[0]: needs identities or claims",
            "rules[0]: allow: is empty",
            "rules[1]: resources: is missing",
            "rules[2]: identities: one is empty",
            "rules[2]: resources: admin is about none",
        ] {
            assert!(problems.contains(problem), "{problem}: {problems}");
        }
        let unknown = Policy::parse("[[rules]]\nidentities = ['a']\nallow = ['rule']").unwrap_err();
        assert!(unknown.contains("rule") && unknown.contains("force-release"), "{unknown}");
        assert!(Policy::parse("[[rule]]\nallow = ['admin']").is_err());
    }
}
