//! Checks of the schema that tenant isolation depends on, made with PostgreSQL's catalogs.

pub mod lists;
mod rules;

use sqlx::{PgConnection, Row};

use self::lists::{NOT_ERASED, OTHER_LEADS, SECURITY_DEFINER, SEEN_WHOLE, WITHOUT_WORKSPACE};

/// The roles that transactions take.
pub const RUNTIME_ROLES: [&str; 3] = ["tidegate_api", "tidegate_engine", "tidegate_directory"];

/// Everything in the schema `public` that breaks a rule, one line each.
pub async fn violations(connection: &mut PgConnection) -> Vec<String> {
    let mut violations = Vec::new();
    let other_leads: Vec<_> = OTHER_LEADS.iter().map(|(index, _)| *index).collect();
    let definers: Vec<_> = SECURITY_DEFINER.iter().map(|(function, _)| *function).collect();
    let seen_whole: Vec<_> = SEEN_WHOLE.iter().map(|(table, role, _)| format!("{table} {role}")).collect();
    let not_erased: Vec<_> = NOT_ERASED.iter().map(|(table, _)| *table).collect();
    for rule in rules::ALL {
        let rows = sqlx::query(rule)
            .bind(RUNTIME_ROLES)
            .bind(&other_leads)
            .bind(&definers)
            .bind(&seen_whole)
            .bind(&not_erased)
            .fetch_all(&mut *connection)
            .await
            .expect("the catalog can be read");
        violations.extend(rows.iter().map(|row| row.get::<String, _>(0)));
    }
    violations.extend(tables_without_workspace(connection).await);
    violations
}

/// Differences between the tables without `workspace_id`, with the roles that may use them, and the list.
async fn tables_without_workspace(connection: &mut PgConnection) -> Vec<String> {
    let found: Vec<(String, Vec<String>)> = sqlx::query_as(rules::WITHOUT_WORKSPACE)
        .bind(RUNTIME_ROLES)
        .fetch_all(connection)
        .await
        .expect("the catalog can be read");
    let mut violations = Vec::new();
    for (table, roles) in &found {
        match WITHOUT_WORKSPACE.iter().find(|(name, ..)| name == table) {
            None => {
                violations.push(format!("table {table} has no workspace_id; give it one, or list it with its reason"));
            }
            Some((_, listed, _)) if roles != listed => {
                violations.push(format!("table {table} can be touched by {roles:?}, the list says {listed:?}"));
            }
            Some(_) => {}
        }
    }
    let gone = WITHOUT_WORKSPACE.iter().filter(|(name, ..)| !found.iter().any(|(table, _)| table == name));
    violations.extend(gone.map(|(name, ..)| format!("table {name} is gone; remove it from the list")));
    violations
}

/// A description of everything in the schema `public`, to compare the results of migrations.
pub async fn description(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(rules::DESCRIPTION).fetch_all(connection).await.expect("the catalog can be read")
}

/// The tenant tables that `role` may read, without partitions.
pub async fn tenant_tables(connection: &mut PgConnection, role: &str) -> Vec<String> {
    sqlx::query_scalar(rules::TENANT_TABLES).bind(role).fetch_all(connection).await.expect("the catalog can be read")
}
