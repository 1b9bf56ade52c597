//! Failures of a call by name.

/// What can go wrong with a call once its function is known, and what it means: the words of `Proxy-Status`, metrics and
/// logs. Something else may take the place of each. What a client has done wrong is not among them.
pub const DEGRADABLE: &[(&str, &str)] = &[
    ("no-release", "the function has no version that serves"),
    ("rate-limited", "the function's rate limit"),
    ("no-node", "no node can be reached"),
    ("node-lost", "the node was lost after it had begun to read"),
    ("bad-node-answer", "the node's answer is malformed"),
    ("clock", "a clock of the node ran out"),
    ("unknown-version", "the node does not know the version"),
    ("no-room", "no room for another sandbox"),
    ("queue-full", "as many requests wait as may"),
    ("saturated", "every sandbox is busy, and other nodes were no better"),
    ("queue-clock", "no slot came free in time"),
    ("draining", "the node is going down"),
    ("retired", "the version is no longer served"),
    ("start-clock", "the sandbox was not ready in time"),
    ("start-failed", "the sandbox did not start"),
    ("no-interpreter", "the node lacks the runtime"),
    ("no-store", "the node has no store to fetch the package from"),
    ("package-missing", "the store has no such package"),
    ("package-unavailable", "the store cannot be read"),
    ("package-damaged", "the package's bytes are not what they were"),
    ("package-refused", "the package holds what none may hold"),
    ("package-disk", "the node cannot write the package"),
    ("isolation", "the node could not isolate the sandbox"),
    ("handler-not-found", "the code has no such handler"),
    ("module-failed", "the code failed while it was loaded"),
    ("bad-app", "the application is none"),
    ("missing-dependency", "the code lacks a dependency"),
    ("python-mismatch", "the code is for another Python"),
    ("crashed", "the process ended while it started or served"),
    ("oom", "the process was ended for its memory"),
    ("unreachable", "the sandbox takes no connection"),
    ("reset", "the function has reset the call"),
    ("closed-early", "the function closed before it answered"),
    ("bad-answer", "the function's answer is malformed"),
    ("first-byte-clock", "no answer in time"),
    ("idle-clock", "nothing moved for too long"),
    ("run-clock", "the whole took too long"),
];

/// The word itself, for the text of one; none when it is no such failure.
pub fn degradable(text: &str) -> Option<&'static str> {
    DEGRADABLE.iter().map(|(word, _)| *word).find(|word| *word == text)
}

/// The field by which a node tells a gateway that an answer is a failure of its own: a [`Told`]. No function can say it.
pub const FAILURE_FIELD: &str = "hatchway-failure";

/// How it says that the function may have begun with the request.
const BEGUN: &str = " begun";

/// What a node tells of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which one.
    pub reason: &'static str,
    /// A byte of the request may have reached the function.
    pub is_begun: bool,
}

impl Told {
    /// The value of the field.
    pub fn value(self) -> String {
        format!("{}{}", self.reason, if self.is_begun { BEGUN } else { "" })
    }

    /// Reads it; none when it is no failure in the place of which something else may be put.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let bare = text.strip_suffix(BEGUN);
        Some(Self { reason: degradable(bare.unwrap_or(text))?, is_begun: bare.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_tells_reads_back_as_what_it_was() {
        for is_begun in [false, true] {
            let told = Told { reason: "crashed", is_begun };
            assert_eq!(Told::parse(told.value().as_bytes()), Some(told));
        }
        assert_eq!(Told::parse(b"bad-chunk-end begun"), None, "what a client has done is not told");
    }
}
