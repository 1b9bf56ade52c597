//! Two who would lead, at one etcd: the one that was deposed cannot write, whatever it still believes.

use hatchway_proto::catalog::Release;
use hatchway_proto::name::FunctionName;
use hatchway_proto::rollout::{Evidence, Phase, Plan, Progress, Rollout};
use hatchway_tests::{Etcd, PATIENCE};
use hatchway_wire::catalog::etcd::EtcdArgs;
use hatchway_wire::catalog::etcd::push::Author;
use hatchway_wire::catalog::etcd::rollouts::{Rollouts, Writing, Written};

const STABLE: &str = "0000000000000000";
const CANARY: &str = "00000000000000aa";

/// Read as a command line is.
#[derive(clap::Parser)]
struct Words {
    #[command(flatten)]
    etcd: EtcdArgs,
}

async fn open(etcd: &Etcd) -> Rollouts {
    let words = <Words as clap::Parser>::parse_from(["test", "--etcd", &etcd.url()]);
    let config = words.etcd.check().expect("an address");
    Rollouts::open(&config).await.expect("etcd answers")
}

fn rollout() -> Rollout {
    let text = format!(
        r#"{{"stable": "{STABLE}", "canary": "{CANARY}", "steps": [{{"set_weight": 500}}]}}"#
    );
    let plan: Plan = serde_json::from_str(&text).expect("a plan");
    Rollout { plan, progress: Progress::start(0, "a test".to_owned()) }
}

#[test]
fn who_was_deposed_writes_nothing() {
    let etcd = Etcd::start();
    etcd.put("releases/local/shop", &format!(r#"{{"stable": "{STABLE}"}}"#));
    let shop = FunctionName::parse("shop").expect("a name");
    let author = Author { who: "test".to_owned(), why: "to see".to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (ann, bob) = (open(&etcd).await, open(&etcd).await);
        let start = rollout();
        let evidence = Evidence::of(&start.plan);
        let writing = |rollout, release| Writing {
            rollout: Some(rollout),
            evidence: Some(&evidence),
            release,
        };
        let first = ann.read(&shop).await.expect("etcd answers");
        assert!(first.rollout.is_none());
        let begun = ann.write(&shop, &first, writing(&start, None), (None, &author)).await;
        assert_eq!(begun.expect("etcd answers"), Written::Whole);

        let [of_ann, of_bob] =
            [ann.seat().await, bob.seat().await].map(|seat| seat.expect("a lease"));
        let leader = of_ann.campaign(ann.election()).await.expect("nobody else does");
        let held = ann.read(&shop).await.expect("etcd answers");
        let mut rollout = start.clone();
        rollout.progress.weight_bp = 5000;
        let release = |weight| {
            let release: &Release = held.release.as_deref().expect("it was put");
            Some(rollout.plan.with_weight(release, weight))
        };
        let half = writing(&rollout, release(5000));
        let moved = ann.write(&shop, &held, half, (Some(&leader), &author)).await;
        assert_eq!(moved.expect("etcd answers"), Written::Whole);
        // What is known by now is an older revision.
        let again =
            ann.write(&shop, &held, writing(&rollout, release(1)), (Some(&leader), &author)).await;
        assert_eq!(again.expect("etcd answers"), Written::Overtaken);

        // Her lease goes, as when her machine stood still for too long, and his turn comes.
        let campaign = of_bob.campaign(bob.election());
        etcd.ctl(&["lease", "revoke", &format!("{:x}", of_ann.id)]);
        let next = campaign.await.expect("the other one has lost it");
        let held = ann.read(&shop).await.expect("etcd answers");
        assert_eq!(held.release.as_ref().map(|release| release.shares[0].basis_points), Some(5000));
        let stale =
            ann.write(&shop, &held, writing(&rollout, release(2)), (Some(&leader), &author)).await;
        assert_eq!(stale.expect("etcd answers"), Written::Deposed);

        let mut over = rollout.clone();
        over.progress.phase = Phase::Healthy;
        let mut following = bob.follow().await.expect("etcd answers");
        assert_eq!(following.running().count(), 1);
        let ended =
            bob.write(&shop, &held, writing(&over, release(0)), (Some(&next), &author)).await;
        assert_eq!(ended.expect("etcd answers"), Written::Whole);
        let told = async {
            while !following.is_empty() {
                following.changed().await.expect("it is told");
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("it is over, and that is told");
        of_bob.leave().await.expect("etcd answers");
    });
    let history = etcd.ctl(&["get", "--prefix", "--print-value-only", "/hatchway/v1-history/"]);
    let records = history.lines().filter(|line| !line.is_empty()).count();
    assert_eq!(records, 2, "two moves of the release were written: {history}");
}
