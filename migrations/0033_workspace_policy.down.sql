alter table workspace
    drop column second_factor_from,
    drop column second_factor_roles,
    drop column second_factor;
