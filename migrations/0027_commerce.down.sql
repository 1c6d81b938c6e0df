drop table promo_redemption, promo_code, plan_version;
drop function tidegate_plan_is_final();
