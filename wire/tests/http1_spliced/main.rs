//! The tests of `http1` once more, with every body of declared length on the short cut through the kernel: what can be
//! claimed does not depend on the way that the bytes take.

/// Whatever there is to come.
const SPLICE_FROM: u64 = 1;

#[path = "../http1/answers.rs"]
mod answers;
#[path = "../http1/clocks.rs"]
mod clocks;
#[path = "../http1/closing.rs"]
mod closing;
#[path = "../http1/expect.rs"]
mod expect;
#[path = "../http1/faults.rs"]
mod faults;
#[path = "../http1/framing.rs"]
mod framing;
#[path = "../http1/kit/mod.rs"]
mod kit;
#[path = "../http1/leaving.rs"]
mod leaving;
#[path = "../http1/pipeline.rs"]
mod pipeline;
#[path = "../http1/reuse.rs"]
mod reuse;
#[path = "../http1/slow.rs"]
mod slow;
#[path = "../http1/split.rs"]
mod split;
#[path = "../http1/streaming.rs"]
mod streaming;
#[path = "../http1/upgrade.rs"]
mod upgrade;
