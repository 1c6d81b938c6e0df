//! The rules as queries. Each returns one line for every violation.
//!
//! Parameters: `$1` the runtime roles, `$2` indexes that may begin with something else, `$3` functions that may run
//! with their owner's rights, `$4` pairs of table and role where the role may read all rows, `$5` tables that are not
//! erased. A rule that needs fewer still names all five.

/// Every rule.
pub(super) const ALL: [&str; 11] =
    [ROW_SECURITY, POLICIES, POLICY_TEXTS, LEADS, FOREIGN_KEYS, GRANTS, VIEWS, FUNCTIONS, ROLES, GONE, ERASABLE];

/// A rule's query: the tenant tables, and the parameters with their types, which PostgreSQL could not infer otherwise.
macro_rules! rule {
    ($text:literal) => {
        concat!(
            "with parameters as (select $1::text[] roles, $2::text[] leads, $3::text[] definers, $4::text[] wholes, $5::text[] kept),
            tenant as (
                select c.oid, c.relname, c.relispartition, c.relrowsecurity, c.relforcerowsecurity, a.attnum
                from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace_id' and not a.attisdropped
                where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace),
            runtime as (select r.* from pg_roles r, parameters where r.rolname = any (roles)) ",
            $text
        )
    };
}

const ROW_SECURITY: &str = rule!(
    "select format('table %s: row-level security has to be enabled and forced', relname) from tenant
     where not (relrowsecurity and relforcerowsecurity)"
);

/// A partition is used only through its parent, so it has neither grants nor policies.
const POLICIES: &str = rule!(
    "select format('table %s: %s permissive and %s restrictive policies for %s; it has grants, so one of each', relname,
            permissive, restrictive, rolname)
     from (select t.relname, r.rolname,
                  count(*) filter (where p.polpermissive) permissive,
                  count(*) filter (where not p.polpermissive and p.polcmd = '*') restrictive
           from tenant t cross join runtime r left join pg_policy p on p.polrelid = t.oid and p.polroles = array[r.oid]
           where not t.relispartition
             and has_any_column_privilege(r.oid, t.oid, 'select, insert, update') or has_table_privilege(r.oid, t.oid, 'delete')
           group by t.relname, r.rolname) counted
     where permissive <> 1 or restrictive <> 1
     union all
     select format('partition %s can be reached by %s', t.relname, r.rolname) from tenant t cross join runtime r
     where t.relispartition and has_any_column_privilege(r.oid, t.oid, 'select, insert, update')
     union all
     select format('policy %s on %s is for more than one runtime role', polname, polrelid::regclass) from pg_policy
     where cardinality(polroles) <> 1 or 0 = any (polroles)"
);

/// A policy names the setting of its role, or the installation, which is not a tenant, unless the list says that the
/// role may read all rows of the table.
const POLICY_TEXTS: &str = rule!(
    "select format('policy %s on %s: %s for %s does not look at %s', p.polname, t.relname, text, r.rolname, wanted)
     from pg_policy p join tenant t on t.oid = p.polrelid join runtime r on p.polroles = array[r.oid]
     cross join lateral (select case r.rolname when 'tidegate_api' then 'tidegate_workspace()'
                                when 'tidegate_engine' then 'tidegate_workspaces()' else 'tidegate_person()' end wanted) w
     cross join lateral (values (pg_get_expr(p.polqual, p.polrelid)), (pg_get_expr(p.polwithcheck, p.polrelid))) x (text)
     cross join parameters
     where strpos(text, 'SELECT ' || wanted) = 0 and strpos(text, wanted || ' AS') = 0
       and not (r.rolname = 'tidegate_engine' and strpos(text, 'SELECT tidegate_deleted_workspaces()') > 0)
       and not (r.rolname = 'tidegate_directory' and strpos(text, 'SELECT tidegate_installation()') > 0)
       and (t.relname || ' ' || r.rolname) <> all (wholes)"
);

/// Includes the indexes of partitions. If the parent's index is listed, those of its partitions count as listed.
const LEADS: &str = rule!(
    "select format('index %s of %s leads with %s', i.indexrelid::regclass, t.relname,
            coalesce((select attname from pg_attribute where attrelid = t.oid and attnum = i.indkey[0]), 'an expression'))
     from pg_index i join tenant t on t.oid = i.indrelid cross join parameters
     where i.indkey[0] <> t.attnum and i.indexrelid::regclass::text <> all (leads)
       and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid and h.inhparent::regclass::text = any (leads))"
);

const FOREIGN_KEYS: &str = rule!(
    "select format('foreign key %s of %s does not lead with workspace_id on both sides', k.conname, k.conrelid::regclass)
     from pg_constraint k join tenant target on target.oid = k.confrelid left join tenant t on t.oid = k.conrelid
     where k.contype = 'f' and (t.oid is null or k.conkey[1] <> t.attnum or k.confkey[1] <> target.attnum)"
);

/// Only the owner may truncate, reference or create triggers. `PUBLIC` and the session's role have no rights.
const GRANTS: &str = rule!(
    "select format('%s has %s on %s', coalesce(r.rolname, 'everybody'), g.privilege_type, c.oid::regclass)
     from pg_class c cross join lateral aclexplode(c.relacl) g left join pg_roles r on r.oid = g.grantee cross join parameters
     where c.relnamespace = 'public'::regnamespace and g.grantee <> c.relowner
       and (g.grantee = 0 or r.rolname <> all (roles)
            or g.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE') or g.is_grantable)"
);

const VIEWS: &str = rule!(
    "select format('view %s would see with its owner''s eyes', c.oid::regclass) from pg_class c
     where c.relnamespace = 'public'::regnamespace
       and (c.relkind = 'm' or c.relkind = 'v' and not coalesce('security_invoker=true' = any (c.reloptions), false))"
);

const FUNCTIONS: &str = rule!(
    "select format('function %s runs with its owner''s rights; list it, pin its search_path, and let no one else call it', p.proname)
     from pg_proc p cross join parameters
     where p.pronamespace = 'public'::regnamespace and p.prosecdef
       and (p.proname <> all (definers)
            or not exists (select from unnest(p.proconfig) setting where setting like 'search_path=pg_catalog, %')
            or p.proacl is null or exists (select from aclexplode(p.proacl) g where g.grantee = 0))"
);

const ROLES: &str = rule!(
    "select format('role %s can more than it should', rolname) from runtime
     where rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolinherit or rolcanlogin
     union all
     select format('role %s is a member of %s', r.rolname, m.roleid::regrole) from runtime r join pg_auth_members m on m.member = r.oid
     union all
     select format('role %s owns something', r.rolname) from runtime r
     where exists (select from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'o')
     union all
     select format('role %s does not exist', name) from parameters, unnest(roles) name
     where not exists (select from runtime where rolname = name)"
);

/// Names on a list that the schema does not have.
const GONE: &str = rule!(
    "select format('index %s is gone or leads with workspace_id; remove it from the list', name)
     from parameters, unnest(leads) name
     where not exists (select from pg_index i join tenant t on t.oid = i.indrelid
                       where i.indexrelid::regclass::text = name and i.indkey[0] <> t.attnum)
     union all
     select format('function %s is gone; remove it from the list', name) from parameters, unnest(definers) name
     where not exists (select from pg_proc where proname = name and prosecdef)
     union all
     select format('%s is not seen whole; remove it from the list', pair) from parameters, unnest(wholes) pair
     where not exists (select from pg_policy p join tenant t on t.oid = p.polrelid join runtime r on p.polroles = array[r.oid]
                       where pair = t.relname || ' ' || r.rolname and pg_get_expr(p.polqual, p.polrelid) = 'true')"
);

/// The engine may erase the rows of a deleted workspace from every table that is not listed.
const ERASABLE: &str = rule!(
    "select format('the engine cannot erase table %s: it needs select and delete on it', relname) from tenant, parameters
     where not relispartition and relname <> all (kept)
       and not (has_table_privilege('tidegate_engine', oid, 'select') and has_table_privilege('tidegate_engine', oid, 'delete'))
     union all
     select format('the engine can erase table %s; remove it from the list', relname) from tenant, parameters
     where relname = any (kept) and has_table_privilege('tidegate_engine', oid, 'delete')"
);

/// The tables without `workspace_id`, and the runtime roles with a right on each.
pub(super) const WITHOUT_WORKSPACE: &str = "
    select c.relname::text,
           array(select name from unnest($1::text[]) name
                 where has_any_column_privilege(name, c.oid, 'select, insert, update') or has_table_privilege(name, c.oid, 'delete')
                 order by name)
    from pg_class c
    where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace
      and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'workspace_id' and not a.attisdropped)
    order by 1";

/// Tables, columns, defaults, constraints, indexes, policies, rights and functions, one line each.
pub(super) const DESCRIPTION: &str = "
    select line from (
        select format('table %s %s %s %s', c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity) line
        from pg_class c where c.relnamespace = 'public'::regnamespace
        union all
        select format('grant %s %s %s', c.relname, g.grantee::regrole, g.privilege_type)
        from pg_class c cross join lateral aclexplode(c.relacl) g where c.relnamespace = 'public'::regnamespace
        union all
        select format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid))
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = 'public'::regnamespace
        union all
        select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
        from pg_constraint where connamespace = 'public'::regnamespace
        union all
        select format('index %s', indexdef) from pg_indexes where schemaname = 'public'
        union all
        select format('policy %s %s %s %s %s', polrelid::regclass, polname, polroles::regrole[], pg_get_expr(polqual, polrelid),
               pg_get_expr(polwithcheck, polrelid)) from pg_policy
        union all
        select format('function %s %s %s %s', oid::regprocedure, prosrc, pg_get_function_sqlbody(oid), proacl::text)
        from pg_proc where pronamespace = 'public'::regnamespace
    ) described where line not like '%\\_sqlx\\_migrations%' order by 1";

/// The tenant tables that a role may read.
pub(super) const TENANT_TABLES: &str = "
    select c.relname::text
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace_id' and not a.attisdropped
    where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace
      and has_table_privilege($1, c.oid, 'select')
    order by 1";
