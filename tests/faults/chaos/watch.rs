//! What programs hold, and whether gateways answer their operators, looked at all the while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hatchway_tests::hosts::Host;
use hatchway_tests::{Admin, proc};

use crate::site::Site;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// A program that runs.
#[derive(Clone, Debug)]
struct Program {
    name: String,
    pid: u32,
    /// Of a gateway: where its operators are answered.
    admin: Option<(Host, Admin)>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Resident memory of each program in bytes, in the order of the looks.
    pub(crate) resident: BTreeMap<String, Vec<u64>>,
    /// How long operators waited.
    pub(crate) answers: Vec<Duration>,
}

#[derive(Debug, Default)]
struct Shared {
    programs: Vec<Program>,
    seen: Seen,
    is_over: bool,
}

/// Looks from time to time.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Mutex<Shared>>,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let shared = Arc::<Mutex<Shared>>::default();
        let of_thread = Arc::clone(&shared);
        Self { shared, thread: thread::spawn(move || look_on(&of_thread)) }
    }

    /// These run now. Nobody looks at others when this returns.
    pub(crate) fn follow(&self, site: &Site<'_>) {
        let nodes = site.nodes.iter().filter_map(|machine| {
            let pid = machine.program.as_ref()?.pid();
            Some(Program { name: machine.name.clone(), pid, admin: None })
        });
        let gateways = site.gateways.iter().filter_map(|machine| {
            let program = machine.program.as_ref()?;
            let admin = Some((machine.host.clone(), program.admin.clone()));
            Some(Program { name: machine.name.clone(), pid: program.pid(), admin })
        });
        self.shared.lock().expect("nobody panics with it").programs =
            nodes.chain(gateways).collect();
    }

    /// Nobody looks when this returns.
    pub(crate) fn look_away(&self) {
        self.shared.lock().expect("nobody panics with it").programs.clear();
    }

    pub(crate) fn end(self) -> Seen {
        self.shared.lock().expect("nobody panics with it").is_over = true;
        self.thread.join().expect("gateways answer their operators");
        std::mem::take(&mut self.shared.lock().expect("it has ended").seen)
    }
}

fn look_on(shared: &Mutex<Shared>) {
    loop {
        {
            let Shared { programs, seen, is_over } = &mut *shared.lock().expect("it did not panic");
            if *is_over {
                return;
            }
            for program in programs.iter() {
                let resident = proc::resident_bytes(program.pid);
                seen.resident.entry(program.name.clone()).or_default().push(resident);
                if let Some((host, admin)) = &program.admin {
                    let asked = Instant::now();
                    host.within(|| admin.status());
                    seen.answers.push(asked.elapsed());
                }
            }
        }
        thread::sleep(EVERY);
    }
}
