-- Whether members need a second factor: nobody, everybody, or those with certain roles; from a time on, or at once.
alter table workspace
    add column second_factor text collate "C" not null default 'off' check (second_factor in ('off', 'all', 'roles')),
    add column second_factor_roles text[] not null default '{}',
    add column second_factor_from timestamptz;
