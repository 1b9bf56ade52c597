//! The link between a gateway and a node: one connection that carries many calls. Version 2.
//!
//! Bytes in, frames out: no socket, no clock. This page is the specification; whoever follows it can write either
//! end without reading the code.
//!
//! # What it is for
//! A *call* is one HTTP/1.1 exchange. The gateway sends the head of the request already in the bytes that the function
//! will read, together with what the node has to know about them, so the node parses nothing of a request. The bytes
//! behind the head, both ways, are those of HTTP/1.1 as well: a body of declared length as it is, a chunked body in
//! its chunks with its trailers behind the last one. Nothing is framed twice, and a body whose framing did not come
//! to its end cannot be taken for a whole one, whatever happens to the link.
//!
//! # Connection
//! The gateway connects, over a Unix socket or TCP. One connection serves one core of a gateway and one node.
//!
//! Between machines it is encrypted: TLS 1.3, the gateway being the client, with the ALPN name `hatchway-link/2`, whose number
//! is the version. Both show a certificate of an authority that the other one trusts, with a name (a DNS or URI entry of
//! subjectAltName) that says what they are: by default `gateway.hatchway.internal` and `node.hatchway.internal`. Wildcards in
//! certificates, addresses and common names are not looked at. Sessions are not resumed.
//!
//! ```text
//! gateway                                                        node
//!   HELLO ------------------------------------------------------->
//!   <------------------------------------------------------- HELLO     nothing else before both have come
//!   CALL 1, DATA 1, CALL 2 --------------------------------------->
//!   <--------------------- ANSWER 2, DATA 2 end, REFUSED 1, LOAD       answers in any order
//!   CANCEL 3 ----------------------------------------------------->     a client has left
//!   <------------------------------------------------------- DRAIN     no further CALL is taken
//!   (closes when its calls are over)
//! ```
//!
//! # Frame
//! Twelve bytes, then the payload. Numbers are unsigned and big-endian.
//!
//! ```text
//!  0        3      4       5                       12
//!  +--------+------+-------+-----------------------+-------- - -
//!  | length | kind | flags | call                  | payload
//!  +--------+------+-------+-----------------------+-------- - -
//! ```
//!
//! `length` counts the payload alone and is at most 98,304 ([`FRAME_BYTES`]). `call` is 0 for frames about the
//! connection. Flags that are not named here are 0.
//!
//! | kind | sent by | call | flags | payload |
//! |---|---|---|---|---|
//! | 1 HELLO | both, first | 0 | | `"HWLK"`, lowest and highest version u16 each, features u64, instance 16 bytes, first credit u32, calls u32; more may follow and is ignored |
//! | 2 CALL | gateway | new | 1 `head`, 2 `upgrade`, 4 `file`, 8 `grpc`, 16 `choosy` | see below |
//! | 3 DATA | both | open | 1 `end` | bytes of the request behind its head, or of the answer with its heads |
//! | 4 CREDIT | both | open | | u32, at least 1: bytes of DATA that may be sent beyond what was allowed before |
//! | 5 CANCEL | both | open | | u8, see below |
//! | 6 REFUSED | node | open | 1 `elsewhere` | reason (u8 length, text), then a whole HTTP/1.1 answer |
//! | 7 LOAD | node | 0 | 1 `draining` | calls in flight u32, room u32, waiting u32, used u16: thousandths of what its sandboxes may take |
//! | 8 DRAIN | both | 0 | 1 `heir`, from a node to a gateway that has asked for it | empty |
//! | 9 PING | both | 0 | | u64 |
//! | 10 PONG | both | 0 | | the u64 of a PING |
//! | 11 ERROR | both, last | 0 | | code u16, a sentence |
//! | 12 ANSWER | node | open | 1 `end` | see below |
//!
//! **HELLO.** The version that is spoken is the highest that both have; none is error `version`. The instance is drawn
//! when a program starts: a node that comes back with another one has forgotten all calls. First credit is what may be
//! sent of each request before the first CREDIT. `calls` is how many the sender takes at a time on this connection,
//! 0 from a gateway.
//!
//! Features are bits that change nothing for who does not know them; unknown ones are ignored.
//!
//! | feature | of | means |
//! |---|---|---|
//! | 1 `accounts` | gateway | heads of answers have the field `hatchway-served`: the sandbox that served, then what the call waited for a slot and, where one had to be started, for a sandbox, in microseconds |
//! | 2 `heirs` | gateway | a DRAIN may have the flag `heir`: another process of the same instance takes over at this address, and has what this one refuses or has not been sent yet |
//!
//! **CALL.** Ids are chosen by the gateway and ascend, with or without gaps; none is used twice. The payload, in this
//! order:
//!
//! | field | form |
//! |---|---|
//! | framing of the body | u8: 0 none, 1 declared length, 2 chunked; then the length u64, 0 unless declared |
//! | credit of the answer | u32: bytes of DATA that the node may send before the first CREDIT, at least 1 |
//! | deadline | u32: milliseconds until the client stops waiting, 0 when it has not said so |
//! | function, version, request id | u8 length and text, each |
//! | with `file`: path, `If-None-Match`, `Range` | u16 length and text, each; empty when absent. A file of the version may answer, if it has files |
//! | head | the rest, up to and with its empty line |
//!
//! `head` says that the method is HEAD, `upgrade` that a 101 is welcome, `grpc` that failures are to be told in the way of gRPC,
//! `choosy` that another node may have room, so that a call which would have to wait for a slot of others is better refused.
//! The head has one framing, the one that is named; the node relies on it. The deadline is what was left when the frame was
//! written, and no clock of the node for this call runs longer.
//!
//! **ANSWER.** DATA that begins with the head of a final answer (2xx to 5xx), and says what is known of it, so that the gateway
//! parses nothing of it. At most one of a call, with nothing before it that was not interim (1xx), and never of a tunnel.
//! The payload, in this order:
//!
//! | field | form |
//! |---|---|
//! | status | u16, 200 to 599 |
//! | framing of what follows the head | u8 and u64, as in CALL; none after HEAD, 204 and 304 |
//! | length of the head | u32, with its empty line |
//! | head, then as much of what follows as there is | the rest; it begins with `HTTP/1.1 ` |
//!
//! The head is what a client of HTTP/1.1 may read whose connection stays: fields of a connection are not in it, nor any that
//! begins with `hatchway-`, and `x-request-id` is the one of the call. It costs credit as DATA does, without what is said of it.
//! A node may send DATA in its place; a gateway that changes the head, or whose client is another one, parses it.
//!
//! # Life of a call
//! ```text
//!           CALL             DATA or CREDIT from the node          DATA end, or CANCEL from either side
//!  gateway: -----> Offered --------------------------> Accepted --------------------------------------> Over
//!                     | REFUSED: Over, nothing was started                                               ^
//!                     `--------------------------------- CANCEL -----------------------------------------'
//! ```
//! * Nothing of a call reaches a function before it is accepted. The node accepts by its first DATA, ANSWER or CREDIT. Until
//!   then the gateway keeps what it has sent, which the first credit bounds, and a REFUSED call may be offered to
//!   another node: with `elsewhere` set that is worth it, without it the answer inside is final.
//! * The connection may end while a call is offered. If no byte of its CALL was written, it may be offered again. Otherwise it
//!   may be running, and is lost.
//! * DATA or ANSWER from the node with `end` ends the answer and the call, whether or not the request was whole. A request ends where its
//!   framing says, without a flag.
//! * After a 101 the call is a tunnel. Each side ends its direction by DATA with `end`, and the call is over when both have.
//! * The bytes of a DATA frame may be passed on before all of them have come; its `end` counts behind the last one.
//! * CANCEL ends a call at once, both ways, and is not answered. What was read of it is not to be taken for a whole.
//! * Frames about a call that is over were on their way, and are ignored; a frame about an id that was never opened is an
//!   error.
//!
//! | CANCEL | means |
//! |---|---|
//! | 1 `left` | whoever had asked has left |
//! | 2 `cut` | the answer broke off: its function died, or wrote what is no HTTP |
//! | 3 `clock` | it took too long |
//! | 4 `protocol` | the other end broke a rule about this call |
//! | 5 `stopping` | the program ends and waits no longer |
//!
//! # Credit
//! A byte of DATA or ANSWER costs one of credit, in each direction of each call; heads in CALL and answers in REFUSED cost none. A
//! receiver gives credit as its reader takes bytes, never for bytes that only wait: a slow reader stalls its own call,
//! and what it can hold of a program's memory is what it was given. A node gives none before it has accepted.
//!
//! # Liveness
//! A node says how full it is (LOAD) after the greeting, and later when that has changed: with the next answers, at most ten
//! times a second, or else within a second. A gateway sends PING every two seconds, and gives the connection up when nothing at all comes for fifteen seconds after
//! one. A node gives it up when nothing at all comes for fifteen. Any frame is a sign of life.
//!
//! # Errors
//! Of a call: CANCEL `protocol`, and the connection goes on.
//!
//! | violation | |
//! |---|---|
//! | DATA beyond the credit, or after `end` | its bytes are dropped |
//! | credit that adds up to 2^31 or more | |
//! | REFUSED after the call was accepted | |
//! | a second ANSWER | its bytes are dropped |
//! | a CALL whose function or version is no name | nothing was started |
//!
//! Of the connection: ERROR with the code, then close. All calls on it are lost.
//!
//! | code | violation |
//! |---|---|
//! | 1 `frame-size` | a payload longer than 98,304 bytes |
//! | 2 `unknown-kind` | a kind that is not in the table |
//! | 3 `bad-flags` | a flag that is not in the table |
//! | 4 `bad-call` | id 0 where a call is meant or the reverse, an id that does not ascend, a frame about an id that was never opened |
//! | 5 `wrong-side` | a frame that only the other side sends |
//! | 6 `hello` | a first frame that is no HELLO, a second HELLO, other first bytes in it |
//! | 7 `version` | no common version |
//! | 8 `bad-payload` | a payload that ends early, has bytes left over, or holds a value that is not in the tables |
//! | 9 `too-many-calls` | more calls open than HELLO allowed |
//! | 10 `flood` | more to be answered (PING) than the peer reads answers |
//! | 11 `silence` | nothing heard for too long |
//! | 12 `encryption` | TLS where plain text is expected (first bytes 22 and 3), or the reverse; ERROR is sent in plain text |
//!
//! # Reading order
//! [`frame`] (header and kinds), [`hello`], [`call`], [`answer`], [`refused`], [`load`] (payloads), [`session`] (which frame
//! may come when), [`flow`] (credit and ends of one call), [`error`].

pub mod answer;
pub mod call;
#[cfg(any(test, feature = "test-support"))]
pub mod cases;
#[cfg(any(test, feature = "test-support"))]
pub mod check;
pub mod error;
pub mod flow;
pub mod frame;
pub mod hello;
pub mod load;
mod payload;
pub mod refused;
pub mod session;

#[cfg(test)]
mod tests;

pub use answer::AnswerHead;
pub use call::{CallHead, FileRequest};
pub use error::{Cancel, LinkError, Violation};
pub use flow::Flow;
pub use frame::{FRAME_BYTES, Frame, HEADER_BYTES};
pub use hello::Hello;
pub use load::LoadSummary;
pub use refused::Refusal;
pub use session::{Session, Side};
