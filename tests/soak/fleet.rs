//! The hundred functions: handlers in Node and Python, and command servers, with idle timeouts from one to five seconds.

use std::fmt::Write;

use hatchway_tests::{Project, Up, program_path};

pub(crate) const COUNT: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Node,
    Python,
    Command,
}

#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

pub(crate) struct Fleet {
    pub(crate) functions: Vec<Function>,
}

/// Says who it is, so that an answer of another function would be noticed.
const NODE: &str = "
export function run(ctx, order = {}) {
  if (order.print !== undefined) console.log(order.print);
  if (order.stream !== undefined) return pieces(Number(order.stream));
  return { name: NAME, echo: order.echo ?? null };
}

async function* pieces(count) {
  for (let n = 0; n < count; n += 1) {
    yield `${NAME} ${n}\\n`;
    await new Promise((next) => setTimeout(next, 5));
  }
}
";

const PYTHON: &str = "
import time


def run(ctx, order=None):
    order = order or {}
    if 'print' in order:
        print(order['print'])
    if 'stream' in order:
        return pieces(int(order['stream']))
    return {'name': NAME, 'echo': order.get('echo')}


def pieces(count):
    for n in range(count):
        yield '%s %d\\n' % (NAME, n)
        time.sleep(0.005)
";

impl Fleet {
    pub(crate) fn new() -> Self {
        let functions = (0..COUNT).map(|n| Function {
            name: format!("f{n}"),
            kind: [Kind::Node, Kind::Python, Kind::Command][n % 3],
        });
        Self { functions: functions.collect() }
    }

    pub(crate) fn project(&self) -> Project {
        let mut manifest = String::new();
        for (n, Function { name, kind }) in self.functions.iter().enumerate() {
            let run = match kind {
                Kind::Node => format!("runtime = \"node\"\nhandler = \"{name}.mjs#run\"\nmemory = \"96MiB\""),
                Kind::Python => format!("runtime = \"python\"\nhandler = \"{name}.py#run\"\nmemory = \"64MiB\""),
                Kind::Command => "runtime = \"command\"\ncommand = [\"./server\"]\nmemory = \"16MiB\"\ntmp = \"1MiB\"".to_owned(),
            };
            let (idle, concurrency, max) = (1 + n % 5, [1, 4, 16][n % 7 % 3], 2 + n % 3);
            // A busy machine is no failure of ours: the clocks are long.
            write!(
                manifest,
                "[function.{name}]\n{run}\nhttp = {{ path = \"/{name}\" }}\nidle_timeout = \"{idle}s\"\n\
                 concurrency = {concurrency}\nmax = {max}\n\
                 timeouts = {{ queue = \"2m\", start = \"2m\", first_byte = \"2m\", idle = \"2m\" }}\n\n"
            )
            .expect("a string takes every write");
        }
        let mut project =
            Project::new(&manifest).program("server", &program_path("hatchway-bench-function"));
        for Function { name, kind } in &self.functions {
            project = match kind {
                Kind::Node => {
                    project.file(&format!("{name}.mjs"), format!("const NAME = '{name}';\n{NODE}"))
                }
                Kind::Python => {
                    project.file(&format!("{name}.py"), format!("NAME = '{name}'\n{PYTHON}"))
                }
                Kind::Command => project,
            };
        }
        project
    }

    /// One request for each, so that what is made once is made.
    pub(crate) fn call_each(&self, up: &Up) {
        for function in &self.functions {
            let answer = up.get(&format!("/{}", function.name));
            assert_eq!(answer.status, 200, "{}: {}", function.name, answer.text());
        }
    }
}
