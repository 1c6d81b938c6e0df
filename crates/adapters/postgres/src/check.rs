//! Checks of the schema and of tenant isolation. The server makes them before it takes a request.

use tidegate_kernel::StoreError;

use crate::error::store_error;
use crate::store::PgStore;

/// Finds roles and objects that would let one tenant see another's rows: what is wrong, and with which table or view.
///
/// Objects of an extension are ignored, unless they have a column `workspace_id` or show a table that has one. Most
/// managed PostgreSQL have views of `pg_stat_statements` in `public` that every role may read.
const VIOLATIONS: &str = "
    with recursive tenant (oid) as (
        select a.attrelid from pg_attribute a join pg_class c on c.oid = a.attrelid
        where a.attname = 'workspace_id' and not a.attisdropped and c.relkind in ('r', 'p', 'f')
          and c.relnamespace = 'public'::regnamespace
    ), shows (oid) as (
        select oid from tenant
        union
        select r.ev_class from shows s
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid
        join pg_rewrite r on r.oid = d.objid
    ), ours as (
        select c.oid, c.relkind, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, s.oid is not null as tenants,
               t.oid is not null as tenant
        from pg_class c left join shows s on s.oid = c.oid left join tenant t on t.oid = c.oid
        where c.relkind in ('r', 'p', 'v', 'm', 'f') and (c.relnamespace = 'public'::regnamespace or s.oid is not null)
          and (s.oid is not null or not exists (
              select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))
    ), runtime as (
        select oid, rolname from pg_roles where rolname in ('tidegate_api', 'tidegate_engine', 'tidegate_directory')
    )
    select format('role %s can bypass row-level security', rolname) as violation, null::text as object
    from pg_roles
    where (rolname = current_user or oid in (select oid from runtime)) and (rolsuper or rolbypassrls)
    union all
    select format('role %s owns', pg_get_userbyid(relowner)), oid::regclass::text
    from ours
    where relkind in ('r', 'p')
      and (relowner = current_user::regrole or relowner in (select oid from runtime))
    union all
    select format('role %s has rights outside a transaction on', current_user), oid::regclass::text
    from ours
    where has_table_privilege(current_user, oid, 'select, insert, update, delete, truncate')
    union all
    select format('role %s is not a member of %s', current_user, rolname), null
    from runtime
    where rolname = any ($1) and not pg_has_role(current_user, oid, 'member')
    union all
    select format('role %s does not exist', name), null
    from unnest(array['tidegate_api', 'tidegate_engine', 'tidegate_directory']) name
    where name not in (select rolname from runtime)
    union all
    select 'no row-level security is enforced in spite of a workspace_id on', oid::regclass::text
    from ours
    where tenant and not (relrowsecurity and relforcerowsecurity)
    union all
    select format('role %s has rights without a restrictive policy on', r.rolname), o.oid::regclass::text
    from ours o cross join runtime r
    where o.tenant and has_table_privilege(r.oid, o.oid, 'select, insert, update, delete')
      and not exists (select from pg_policy p where p.polrelid = o.oid and not p.polpermissive and r.oid = any (p.polroles))
    union all
    select format('role %s sees tenants'' rows with the rights of another through', r.rolname), o.oid::regclass::text
    from ours o cross join runtime r
    where o.tenants and (o.relkind = 'm' or o.relkind = 'v' and not coalesce('security_invoker=true' = any (o.reloptions), false))
      and has_table_privilege(r.oid, o.oid, 'select, insert, update, delete')
    order by 1, 2";

/// A violation names at most this many tables and counts the rest.
const NAMED: usize = 3;

/// Reads the version that the migrator has noted. Any login may read it.
const NOTED_VERSION: &str = "
    select coalesce(max(obj_description(c.oid, 'pg_class')::bigint), 0)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relname = '_sqlx_migrations'";

impl PgStore {
    /// The newest migration that the schema has; 0 if it has none.
    ///
    /// # Errors
    /// [`StoreError`] if the catalog cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar(NOTED_VERSION).fetch_one(self.api_pool()).await.map_err(store_error)
    }

    /// Lists what would let one tenant reach another's rows. The server starts only if the list is empty. There is one
    /// line for each kind of mistake; of many tables with the same mistake, the line names the first few.
    ///
    /// # Errors
    /// [`StoreError`] if the catalog cannot be read.
    pub async fn isolation_violations(&self) -> Result<Vec<String>, StoreError> {
        let mut violations = Vec::new();
        for login in self.logins() {
            let query = sqlx::query_as(VIOLATIONS).bind(&login.roles);
            let found: Vec<(String, Option<String>)> = query.fetch_all(login.pool).await.map_err(store_error)?;
            for same in found.chunk_by(|one, other| one.0 == other.0) {
                let objects: Vec<&str> = same.iter().filter_map(|(_, object)| object.as_deref()).collect();
                violations.push(format!("{}: {}{}", login.setting, same[0].0, listed(&objects)));
            }
        }
        Ok(violations)
    }
}

/// The first [`NAMED`] objects, and how many more there are.
fn listed(objects: &[&str]) -> String {
    match objects {
        [] => String::new(),
        few if few.len() <= NAMED => format!(" {}", few.join(", ")),
        many => {
            let (named, rest) = many.split_at(NAMED);
            format!(" {} and {} more", named.join(", "), rest.len())
        }
    }
}
