//! What has to hold before the server takes a request: nobody can get around the walls between tenants.

use sqlx::Row;
use tidegate_kernel::StoreError;

use crate::error::store_error;
use crate::store::PgStore;

/// Roles or tables with which a tenant could see another's rows.
const VIOLATIONS: &str = "
    select format('role %s can bypass row-level security', r.rolname) as violation
    from pg_roles r
    where (r.rolname = current_user or r.rolname in ('tidegate_api', 'tidegate_engine', 'tidegate_directory'))
      and (r.rolsuper or r.rolbypassrls)
    union all
    select format('role %s owns table %s', pg_get_userbyid(c.relowner), c.oid::regclass)
    from pg_class c
    where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
      and (c.relowner = current_user::regrole
        or pg_get_userbyid(c.relowner) in ('tidegate_api', 'tidegate_engine', 'tidegate_directory'))
    union all
    select format('role %s has rights on table %s outside a transaction', current_user, c.oid::regclass)
    from pg_class c
    where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = 'public'::regnamespace
      and has_table_privilege(current_user, c.oid, 'select, insert, update, delete, truncate')
    union all
    select format('role %s is not a member of %s', current_user, r.rolname)
    from pg_roles r
    where r.rolname in ('tidegate_api', 'tidegate_engine', 'tidegate_directory')
      and r.rolname = any ($1) and not pg_has_role(current_user, r.oid, 'member')
    union all
    select format('role %s does not exist', name)
    from unnest(array['tidegate_api', 'tidegate_engine', 'tidegate_directory']) name
    where not exists (select from pg_roles r where r.rolname = name)
    union all
    select format('table %s has workspace_id and no enforced row-level security', c.oid::regclass)
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace_id' and not a.attisdropped
    where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
      and not (c.relrowsecurity and c.relforcerowsecurity)
    union all
    select format('table %s has no restrictive policy for role %s', c.oid::regclass, r.rolname)
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace_id' and not a.attisdropped
    cross join pg_roles r
    where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
      and r.rolname in ('tidegate_api', 'tidegate_engine', 'tidegate_directory')
      and has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
      and not exists (select from pg_policy p where p.polrelid = c.oid and not p.polpermissive and r.oid = any (p.polroles))";

/// What the migrator has noted; any login may read it.
const NOTED_VERSION: &str = "
    select coalesce(max(obj_description(c.oid, 'pg_class')::bigint), 0)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname = '_sqlx_migrations'";

impl PgStore {
    /// Up to which migration the schema has come; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        let [(_, pool), ..] = self.pools();
        sqlx::query_scalar(NOTED_VERSION).fetch_one(pool).await.map_err(store_error)
    }

    /// Lists what would let one tenant reach another; the server refuses to start unless the list is empty.
    ///
    /// # Errors
    /// [`StoreError`] when the catalog cannot be read.
    pub async fn isolation_violations(&self) -> Result<Vec<String>, StoreError> {
        let mut violations = Vec::new();
        let roles: [&[&str]; 3] = [&["tidegate_api"], &["tidegate_engine"], &["tidegate_directory"]];
        for ((login, pool), needed) in self.pools().into_iter().zip(roles) {
            let rows = sqlx::query(VIOLATIONS).bind(needed).fetch_all(pool).await.map_err(store_error)?;
            for row in rows {
                let violation: String = row.try_get("violation").map_err(store_error)?;
                violations.push(format!("{login}: {violation}"));
            }
        }
        violations.dedup();
        Ok(violations)
    }
}
