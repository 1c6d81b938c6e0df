//! Processes that share a limit, with a ledger in memory whose answers can be lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use tidegate_kernel::{
    Actor, Limit, Meter, PermissionSet, Quota, QuotaError, RequestId, Reservation, StoreError, SystemScope,
    WorkspaceId, WorkspaceScope,
};

use super::*;
use crate::ports::{BudgetLedger, PlanLimits};
use crate::testing::{clock, environment, issuer, now};

const LIMIT: i64 = 300;

const NOON: &str = "2026-05-01T12:00:00Z";

struct Limited;

#[async_trait]
impl PlanLimits for Limited {
    async fn limit(&self, _: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError> {
        Ok(if meter == Meter::Steps { Limit::Unlimited } else { Limit::AtMost(LIMIT) })
    }
}

#[derive(Default)]
struct Ledger {
    granted: Mutex<HashMap<Meter, i64>>,
    /// How many of the next answers are lost after they took effect.
    lost: Mutex<u8>,
}

impl Ledger {
    fn answer(&self) -> Result<(), StoreError> {
        let mut lost = self.lost.lock().unwrap();
        if *lost == 0 {
            return Ok(());
        }
        *lost -= 1;
        Err(StoreError::Unavailable("the answer was lost".into()))
    }
}

#[async_trait]
impl BudgetLedger for Ledger {
    async fn grant(&self, _: &WorkspaceScope, request: &GrantRequest) -> Result<Grant, StoreError> {
        let mut granted = self.granted.lock().unwrap();
        let used = granted.entry(request.meter).or_default();
        let units = granted_units(request, *used);
        *used += units;
        self.answer().map(|()| Grant { units, used: *used })
    }

    async fn give_back(&self, _: &SystemScope, units: &[Returned]) -> Result<(), StoreError> {
        let mut granted = self.granted.lock().unwrap();
        for returned in units {
            *granted.entry(returned.meter).or_default() -= returned.units;
        }
        self.answer()
    }
}

fn scopes() -> (WorkspaceScope, SystemScope) {
    let (env, issuer) = (environment(NOON), issuer());
    let workspace = WorkspaceId::generate(&env);
    let scope = issuer.workspace(workspace, Actor::System, PermissionSet::ALL, RequestId::new("test").unwrap());
    (scope, issuer.system("a test"))
}

fn process(ledger: &Arc<Ledger>) -> PlanQuota {
    PlanQuota::new(Arc::new(Limited), ledger.clone(), environment(NOON))
}

#[derive(Debug, Clone)]
enum Act {
    Use(usize, i64),
    Hold(usize, i64),
    Release,
    EndSecond(usize),
    Kill(usize),
    LoseAnswers(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0..3_usize, 1..20_i64).prop_map(|(process, amount)| Act::Use(process, amount)),
        2 => (0..3_usize, 1..20_i64).prop_map(|(process, amount)| Act::Hold(process, amount)),
        1 => Just(Act::Release),
        2 => (0..3_usize).prop_map(Act::EndSecond),
        1 => (0..3_usize).prop_map(Act::Kill),
        1 => (1..3_u8).prop_map(Act::LoseAnswers),
    ];
    prop::collection::vec(act, 1..200)
}

proptest! {
    #[test]
    fn processes_never_exceed_the_limit_and_waste_nothing_while_they_live(acts in acts()) {
        let ledger = Arc::new(Ledger::default());
        let (scope, system) = scopes();
        let mut processes: Vec<PlanQuota> = (0..3).map(|_| process(&ledger)).collect();
        let (mut used, mut held, mut troubled) = (0_i64, Vec::<(i64, Reservation)>::new(), false);
        for act in acts {
            match act {
                Act::Use(which, amount) => match now(processes[which].reserve(&scope, Meter::Runs, amount)) {
                    Ok(reservation) => {
                        reservation.commit();
                        used += amount;
                    }
                    Err(QuotaError::Exceeded(refused)) => prop_assert!(refused.used <= LIMIT),
                    Err(QuotaError::Store(_)) => troubled = true,
                },
                Act::Hold(which, amount) => {
                    if let Ok(reservation) = now(processes[which].reserve(&scope, Meter::Runs, amount)) {
                        held.push((amount, reservation));
                    }
                }
                Act::Release => held.clear(),
                Act::EndSecond(which) => troubled |= now(processes[which].end_second(&system)).is_err(),
                Act::Kill(which) => {
                    processes[which] = process(&ledger);
                    troubled = true;
                }
                Act::LoseAnswers(count) => {
                    *ledger.lost.lock().unwrap() = count;
                    troubled = true;
                }
            }
            let reserved: i64 = held.iter().map(|(amount, _)| amount).sum();
            prop_assert!(used + reserved <= LIMIT, "{used} used and {reserved} reserved of {LIMIT}");
            prop_assert!(ledger.granted.lock().unwrap().values().all(|granted| (0..=LIMIT).contains(granted)));
        }
        held.clear();
        *ledger.lost.lock().unwrap() = 0;
        for process in &processes {
            now(process.close(&system)).unwrap();
        }
        let granted = ledger.granted.lock().unwrap().get(&Meter::Runs).copied().unwrap_or(0);
        prop_assert!(granted >= used);
        prop_assert!(troubled || granted == used, "{granted} are granted and {used} were used");
    }
}

#[test]
fn a_meter_without_a_limit_asks_nobody() {
    let ledger = Arc::new(Ledger::default());
    let (scope, system) = scopes();
    let process = process(&ledger);
    now(process.reserve(&scope, Meter::Steps, i64::MAX)).unwrap().commit();
    now(process.close(&system)).unwrap();
    assert!(ledger.granted.lock().unwrap().is_empty());
}

#[test]
fn a_budget_grows_with_the_demand_and_shrinks_near_the_limit() {
    let period = Meter::Runs.period(NOON.parse().unwrap());
    let request = |needed, wanted| GrantRequest { meter: Meter::Runs, period, needed, wanted, limit: 6_400 };
    assert_eq!(granted_units(&request(1, 1), 0), 1);
    assert_eq!(granted_units(&request(1, LARGEST), 0), 6_400 / SHARE);
    assert_eq!(granted_units(&request(1, LARGEST), 6_400 - SHARE * 3), 3);
    assert_eq!(granted_units(&request(1, LARGEST), 6_400 - SHARE + 1), 1);
    assert_eq!(granted_units(&request(1, LARGEST), 6_400), 0);
    assert_eq!(granted_units(&request(500, 500), 6_000), 0);
    assert_eq!(granted_units(&request(i64::MAX, i64::MAX), i64::MAX), 0);
}

#[test]
fn a_budget_is_forgotten_when_it_is_idle_or_its_period_is_over() {
    let ledger = Arc::new(Ledger::default());
    let (scope, system) = scopes();
    let (clock, env) = clock(NOON);
    let process = PlanQuota::new(Arc::new(Limited), ledger, env);
    let budgets = || format!("{process:?}");
    now(process.reserve(&scope, Meter::ApiCalls, 1)).unwrap().commit();
    assert!(budgets().contains("budgets: 1"));
    for _ in 0..3 {
        now(process.end_second(&system)).unwrap();
    }
    assert!(budgets().contains("budgets: 0"));
    now(process.reserve(&scope, Meter::ApiCalls, 1)).unwrap().commit();
    clock.set("2026-05-02T00:00:00Z");
    now(process.end_second(&system)).unwrap();
    assert!(budgets().contains("budgets: 0"));
}
