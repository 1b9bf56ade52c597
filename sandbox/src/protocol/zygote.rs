//! Between the spawner, a zygote and the processes that it forks: the same for every runtime.
//!
//! A *zygote* is a process in a nest of its own that has loaded the code of one version and
//! waits to be forked. It never serves. Its children are sandboxes: each has a control group,
//! a Landlock domain, a session, standard output and error, a listener and a ready pipe of its
//! own, and shares the zygote's namespaces, root, user id and `/tmp`.
//!
//! # The boundary
//! Between siblings stand a control group and a Landlock domain, not a kernel's worth of
//! namespaces: they are of one tenant, one version and one code, and keep each other from
//! accidents. What they share is named above; beyond it, whatever the code drew or opened
//! while it was loaded, the hash seed and the layout of memory; and as the kernel asks only for
//! the user id, each can lower the priority of another and choose its processors, though not set
//! its limits (see `steps::seccomp`). A zygote is never forked for another version. Nothing that a zygote or its children write is believed without the kernel:
//! who speaks is asked of the socket, and has to be in the zygote's control group.
//!
//! # Descriptors of a zygote
//! | number | what |
//! |---|---|
//! | 0, 1, 2 | as for every function |
//! | 3 | the zygote's socket, `SOCK_SEQPACKET`; `HATCHWAY_ZYGOTE_FD=3` says so |
//! | 4 | the writing end of the zygote's own ready pipe |
//!
//! `HATCHWAY_ZYGOTE_FD` takes the place of `HATCHWAY_LISTENER`, and `HATCHWAY_SANDBOX` is not
//! set. The adapter removes the variable, and makes 3 and 4 close at an exec, before any code
//! of the tenant runs. Nothing else may ever take the numbers 3 and 4 in a zygote: its children
//! put their listener and their ready pipe there. Once 4 has been written to, `/dev/null` is put
//! in its place.
//!
//! # What is said
//! Each message is one packet with one JSON object; *n* is a number that the spawner chose.
//!
//! 1. The zygote says that it is at its fork point, **on its ready pipe**, in the words of an
//!    ordinary start, for they are for the node and not for the privileged spawner to read:
//!    `{"ready":{...}}`, or `{"failed":{"reason":...,"message":...}}` when the code cannot be
//!    loaded. Code that is loaded and cannot be forked safely says
//!    `{"failed":{"reason":"unfit","what":"threads","message":"..."}}` and the zygote ends; `what`
//!    is one of `threads`, `sockets`, `files`, `timers`, `children`, `handles`, `random`, `runtime`, and the
//!    message names them.
//! 2. Spawner to zygote, on the zygote's socket: `{"fork":n}` with five descriptors, in this
//!    order: listener, ready pipe, standard output, standard error, control. Control is one end of
//!    a `SOCK_SEQPACKET` pair made for this child. The zygote forks, closes the five, and reads
//!    on. When it cannot fork it sends `{"failed":n,"errno":e}` on control and closes the five.
//! 3. The child takes its own session (setsid(2)), puts standard output, standard error, listener
//!    and ready pipe at 1, 2, 3 and 4, seeds everything random anew, and enters a Landlock
//!    domain of its own: one that takes away the making of block devices, which nobody could
//!    do anyway, and from version 6 on signals and abstract sockets of others. Then it sends
//!    `{"here":n}` on control, or `{"failed":n,"errno":e}`, after which it ends. The spawner
//!    learns from the kernel who has sent that, and has the nest's first process move the child
//!    into the child's own control group.
//!    A child that has more to make ready than that says `{"here":n,"prepare":true}` as the first
//!    thing it does. It is sent `{"prepare":n}` once it is in its group, and what it touches from
//!    then on is charged to it and not to the zygote.
//! 4. Now it is *parked*: it waits for a packet on control. `{"go":n,"sandbox":"sb-7"}` lets it
//!    serve, as the sandbox of that name, which becomes its `HATCHWAY_SANDBOX`. It closes control,
//!    and says on its ready pipe what a function says that has been started alone. When control
//!    closes before that, it ends with code 0.
//! 5. Spawner to zygote: `{"collect":n}`: child *n* has ended, and the zygote now waits for it
//!    (waitpid(2)), at once and for no other. Not before: until then the spawner reads how it
//!    ended from what is left of it. A zygote neither handles nor ignores SIGCHLD.
//!
//! A zygote whose socket is closed ends. Its end is not that of its children: the first process
//! of the nest stays until the last of them has gone; only those still parked end with it.

use serde::{Deserialize, Serialize};

/// Spawner to zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Beside it: listener, ready pipe, standard output, standard error, control.
    Fork(u64),
    Collect(u64),
}

/// Child to spawner, on control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Here {
        here: u64,
        #[serde(default)]
        prepare: bool,
    },
    Failed {
        failed: u64,
        errno: i32,
    },
}

/// Spawner to child, on control, if it has asked for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prepare {
    pub(crate) prepare: u64,
}

/// Spawner to child, on control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Go {
    pub(crate) go: u64,
    /// The child's name from here on.
    pub(crate) sandbox: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::packet::{decode, encode};

    #[test]
    fn messages_look_as_the_documentation_says() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("JSON");
        assert_eq!(text(encode(&Request::Fork(7)).expect("fits")), r#"{"fork":7}"#);
        assert_eq!(text(encode(&Request::Collect(7)).expect("fits")), r#"{"collect":7}"#);
        let go = Go { go: 7, sandbox: "sb-3".to_owned() };
        assert_eq!(text(encode(&go).expect("fits")), r#"{"go":7,"sandbox":"sb-3"}"#);
        assert_eq!(text(encode(&Prepare { prepare: 7 }).expect("fits")), r#"{"prepare":7}"#);
        let here = decode::<Answer>(br#"{"here":7}"#).expect("here");
        assert_eq!(here, Answer::Here { here: 7, prepare: false });
        let here = decode::<Answer>(br#"{"here":7,"prepare":true}"#).expect("here");
        assert_eq!(here, Answer::Here { here: 7, prepare: true });
        let failed = decode::<Answer>(br#"{"failed":7,"errno":11}"#).expect("failed");
        assert_eq!(failed, Answer::Failed { failed: 7, errno: 11 });
    }

    #[test]
    fn anything_else_is_no_answer() {
        for text in [r#"{"here":-1}"#, r#"{"failed":7}"#, r#"{"go":7}"#, "7", "", "{}"] {
            assert!(decode::<Answer>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
