//! Rules of many functions, as people write them.

use etcd_client::{Client, Txn, TxnOp};
use hatchway_proto::catalog::{Key, Object, Objects};
use hatchway_tests::Etcd;

/// Below the default prefix.
pub(crate) const PREFIX: &str = "/hatchway/v1/";

/// etcd allows 128.
const TOGETHER: usize = 120;

/// The host of a function.
pub(crate) fn host(n: usize) -> String {
    format!("h{n}.example.com")
}

/// Keys and values of the function `n`.
pub(crate) fn function(n: usize) -> [(String, String); 4] {
    let name = format!("team-{}/function-{n}", n % 100);
    let version = format!(
        r#"{{"function":"{name}","package":{{"root":"/srv/functions/{n}","digest":"{n:064x}"}},"runtime":{{"kind":"node_handler","module":"src/main.mjs","export":"handle"}},"resources":{{"cpu_millis":1000,"memory_bytes":134217728,"pids":64,"files":1024,"tmp_bytes":67108864}},"concurrency":10,"min":0,"max":10,"idle_timeout":"5m","clocks":{{"queue":"10s","start":"10s","first_byte":"60s","idle":"60s","run":"300s"}},"env":{{}}}}"#
    );
    [
        (format!("functions/{name}"), "{}".to_owned()),
        (format!("releases/{name}"), format!(r#"{{"stable":"{n:016x}"}}"#)),
        (format!("routes/route-{n}"), route(n, &format!("/{n}"))),
        (format!("versions/{n:016x}"), version),
    ]
}

/// The route of the function `n`, with this path.
pub(crate) fn route(n: usize, path: &str) -> String {
    let name = format!("team-{}/function-{n}", n % 100);
    format!(r#"{{"host":"{}","path":"{path}","function":"{name}"}}"#, host(n))
}

/// A route that the gateway answers by itself: 308 on every host.
pub(crate) fn answered(path: &str) -> String {
    let to = r#"{"request_redirect":{"hostname":"elsewhere.example","status_code":308}}"#;
    format!(r#"{{"path":"{path}","function":"team-0/function-0","filters":{to}}}"#)
}

/// All of them.
pub(crate) fn objects(count: usize) -> Objects {
    let mut objects = Objects::default();
    for (key, json) in (0..count).flat_map(function) {
        objects.put(object(&key, &json));
    }
    objects.packed()
}

pub(crate) fn object(key: &str, json: &str) -> Object {
    let key = Key::parse(key).expect("a key");
    Object::parse(key, json.as_bytes()).expect("an object")
}

pub(crate) async fn connect(etcd: &Etcd) -> Client {
    Client::connect([etcd.url()], None).await.expect("etcd answers")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Writes all of them, and one route that is answered by gateways themselves.
pub(crate) fn write(etcd: &Etcd, count: usize) {
    runtime().block_on(async {
        let mut client = connect(etcd).await;
        let all = (0..count)
            .flat_map(function)
            .chain([("routes/answered".to_owned(), answered("/answered"))]);
        let all: Vec<_> = all.collect();
        for together in all.chunks(TOGETHER) {
            let puts = together
                .iter()
                .map(|(key, json)| TxnOp::put(format!("{PREFIX}{key}"), json.as_str(), None));
            let txn = Txn::new().and_then(puts.collect::<Vec<_>>());
            client.txn(txn).await.expect("etcd takes it");
        }
    });
}
