//! What must differ between siblings, and what cannot.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::runtime_support::zygote::Zygote;
use crate::runtime_support::{Package, node_handler, node_main};

/// Draws from everything there is: some of it while loading, so that caches are filled and references
/// are kept, and then more of each than a cache holds.
const DRAW: &str = "const crypto = require('node:crypto');
const tls = require('node:tls');
const { random } = Math;
const kept = { boot: [crypto.randomUUID(), crypto.randomInt(2 ** 40), random(), globalThis.crypto.randomUUID()] };
const many = (draw, count = 300) => Array.from({ length: count }, () => String(draw()));

function keying() {
  return new Promise((resolve, reject) => {
    const psk = { psk: Buffer.alloc(32, 7), identity: 'same' };
    const options = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined };
    const server = tls.createServer({ ...options, pskCallback: () => psk.psk }, (socket) => {
      resolve([socket.exportKeyingMaterial(32, 'test').toString('hex'), socket.getSession().toString('hex')]);
      socket.end();
      server.close();
    });
    server.on('tlsClientError', reject);
    server.listen(0, '127.0.0.1', () => {
      tls.connect({ ...options, port: server.address().port, pskCallback: () => psk }).on('error', reject).resume();
    });
  });
}

async function draw() {
  const pair = (type, options) => crypto.generateKeyPairSync(type, options).privateKey.export({ type: 'pkcs8', format: 'der' }).toString('hex');
  return {
    uuid: many(() => crypto.randomUUID()),
    webUuid: many(() => globalThis.crypto.randomUUID()),
    math: many(() => Math.random()),
    keptMath: many(random),
    int: many(() => crypto.randomInt(2 ** 47), 1500),
    asyncInt: [await new Promise((resolve) => crypto.randomInt(2 ** 47, (_, value) => resolve(String(value))))],
    bytes: many(() => crypto.randomBytes(16).toString('hex')),
    asyncBytes: [await new Promise((resolve) => crypto.randomBytes(16, (_, value) => resolve(value.toString('hex'))))],
    values: [globalThis.crypto.getRandomValues(new Uint8Array(16)).join()],
    keys: [pair('ed25519'), pair('ec', { namedCurve: 'P-256' }), crypto.generateKeySync('aes', { length: 256 }).export().toString('hex')],
    prime: [crypto.generatePrimeSync(128, { bigint: true }).toString()],
    tls: await keying(),
    boot: kept.boot,
  };
}";

fn assert_siblings_differ(zygote: &mut Zygote) {
    let (first, second) = (zygote.serve(), zygote.serve());
    let (first, second) = (first.get("/").json(), second.get("/").json());
    let drawn = |of: &Value| -> BTreeSet<String> {
        let drawn = of.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned());
        drawn.collect()
    };
    for (name, values) in first.as_object().unwrap() {
        if name == "boot" {
            assert_eq!(values, &second[name], "drawn while loading: shared, and told so");
            continue;
        }
        let (first, second) = (drawn(values), drawn(&second[name]));
        assert_eq!(first.len(), values.as_array().unwrap().len(), "{name} repeats itself");
        assert_eq!(first.intersection(&second).next(), None, "{name} is the same in both");
    }
}

#[test]
fn children_of_a_handler_draw_their_own_random_values() {
    let module = format!("{DRAW}\nexports.draw = draw;");
    assert_siblings_differ(
        &mut Package::new(&[("d.cjs", &module)]).zygote(&node_handler("d.cjs", "draw")),
    );
}

#[test]
fn children_of_a_server_draw_their_own_random_values() {
    let script = format!(
        "{DRAW}
        require('node:http').createServer(async (_, response) => response.end(JSON.stringify(await draw()))).listen(3000);"
    );
    assert_siblings_differ(&mut Package::new(&[("s.js", &script)]).zygote(&node_main("s.js")));
}

#[test]
fn the_generator_that_replaces_math_random_looks_like_it() {
    let module = "export const look = () => {
      const { value, ...shape } = Object.getOwnPropertyDescriptor(Math, 'random');
      let [least, most, sum, count] = [1, 0, 0, 100000];
      for (let i = 0; i < count; i++) {
        const drawn = Math.random();
        [least, most, sum] = [Math.min(least, drawn), Math.max(most, drawn), sum + drawn];
      }
      let constructs = true;
      try { new value(); } catch { constructs = false; }
      return { shape, name: value.name, length: value.length, constructs, within: least >= 0 && most < 1 && least < 0.01 && most > 0.99, mean: sum / count };
    };";
    let mut zygote = Package::new(&[("m.mjs", module)]).zygote(&node_handler("m.mjs", "look"));
    let look = zygote.serve().get("/").json();
    let shape = serde_json::json!({"writable": true, "enumerable": false, "configurable": true});
    assert_eq!(look["shape"], shape);
    assert_eq!((&look["name"], &look["length"]), (&"random".into(), &0.into()));
    assert_eq!((&look["constructs"], &look["within"]), (&false.into(), &true.into()));
    assert!((look["mean"].as_f64().unwrap() - 0.5).abs() < 0.01, "{look}");
}
