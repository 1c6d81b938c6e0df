//! What a workspace demands of its members.

use chrono::{DateTime, Utc};

use crate::model::member::Membership;
use crate::model::role::Role;
use crate::model::session::Session;

/// Which members need a second factor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SecondFactorRule {
    /// Nobody.
    #[default]
    Off,
    /// Everybody.
    All,
    /// Members with one of these roles, by name.
    Roles(Vec<String>),
}

impl SecondFactorRule {
    /// The name of the rule, and its roles.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &[String]) {
        match self {
            Self::Off => ("off", &[]),
            Self::All => ("all", &[]),
            Self::Roles(roles) => ("roles", roles),
        }
    }

    /// The rule with this name and these roles. One that this release does not know is for everybody.
    #[must_use]
    pub fn of_parts(name: &str, roles: Vec<String>) -> Self {
        match name {
            "off" => Self::Off,
            "roles" => Self::Roles(roles),
            _ => Self::All,
        }
    }
}

/// The policy of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspacePolicy {
    /// Which members need a second factor.
    pub second_factor: SecondFactorRule,
    /// When the rule begins; `None` for at once.
    pub from: Option<DateTime<Utc>>,
}

impl WorkspacePolicy {
    /// Whether the rule is for members with this role, now or later.
    #[must_use]
    pub fn concerns(&self, role: &Role) -> bool {
        match &self.second_factor {
            SecondFactorRule::Off => false,
            SecondFactorRule::All => true,
            SecondFactorRule::Roles(names) => names.iter().any(|name| name == role.name()),
        }
    }

    /// Whether a member with this role and session may enter at `now`.
    #[must_use]
    pub fn admits(&self, role: &Role, session: &Session, now: DateTime<Utc>) -> bool {
        session.has_second_factor() || !self.concerns(role) || self.from.is_some_and(|from| now < from)
    }
}

/// What decides whether a person may enter a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The membership.
    pub membership: Membership,
    /// The policy of the workspace.
    pub policy: WorkspacePolicy,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AuthMethod;
    use chrono::TimeDelta;
    use tidegate_kernel::{Client, UserId};

    #[test]
    fn a_rule_is_for_its_roles_and_from_its_time_on() {
        let env = crate::model::testing::environment();
        let now = DateTime::UNIX_EPOCH;
        let alone = Session::begin(&env, UserId::generate(&env), now, false, Client::default());
        let methods = vec![AuthMethod::Password, AuthMethod::Totp];
        let with_factor = Session { methods, ..alone.clone() };
        let rule = |second_factor, from| WorkspacePolicy { second_factor, from };
        let owners = SecondFactorRule::Roles(vec!["owner".to_owned()]);
        let later = Some(now + TimeDelta::hours(1));
        for (policy, role, admitted) in [
            (rule(SecondFactorRule::Off, None), Role::OWNER, true),
            (rule(SecondFactorRule::All, None), Role::VIEWER, false),
            (rule(SecondFactorRule::All, later), Role::VIEWER, true),
            (rule(SecondFactorRule::All, Some(now)), Role::VIEWER, false),
            (rule(owners.clone(), None), Role::VIEWER, true),
            (rule(owners, None), Role::OWNER, false),
        ] {
            assert_eq!(policy.admits(&role, &alone, now), admitted, "{policy:?} {role}");
            assert!(policy.admits(&role, &with_factor, now), "{policy:?} {role}");
        }
    }
}
