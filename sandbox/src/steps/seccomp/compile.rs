//! From ranges to a program of classic BPF (seccomp(2), and the kernel's
//! Documentation/userspace-api/seccomp_filter.rst).

use super::table::{Range, Verdict};
use crate::sys::confine::Instruction;

// Instruction codes, from linux/bpf_common.h.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K

// Offsets in struct seccomp_data; the low half of an argument comes first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const fn errno(number: i32) -> u32 {
    0x0005_0000 | number.unsigned_abs()
}

#[cfg(target_arch = "x86_64")]
const OUR_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OUR_ARCHITECTURE: u32 = 0xc000_00b7;

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, and NEWTIME, which shares
/// its bit with the exit signal and which only clone3 takes.
const NAMESPACES: u32 = 0x7e02_0000;

const fn instruction(code: u16, yes: u8, no: u8, value: u32) -> Instruction {
    Instruction { code, jt: yes, jf: no, k: value }
}

const fn give(value: u32) -> Instruction {
    instruction(RETURN, 0, 0, value)
}

/// The whole program for `ranges`, which begin at 0 and rise.
pub(super) fn program(ranges: &[Range]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD, 0, 0, ARCHITECTURE),
        // Another architecture has other numbers: none of them can be judged.
        instruction(IF_EQUAL, 1, 0, OUR_ARCHITECTURE),
        give(KILL),
        instruction(LOAD, 0, 0, NUMBER),
    ];
    program.extend(search(ranges));
    program
}

/// Halves the ranges until one is left.
fn search(ranges: &[Range]) -> Vec<Instruction> {
    if let [range] = ranges {
        return leaf(range.verdict);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (below, above) = (search(low), search(high));
    let pivot = high[0].first;
    let distance = below.len();
    let mut program = match u8::try_from(distance) {
        Ok(near) => vec![instruction(IF_AT_LEAST, near, 0, pivot)],
        // A condition jumps 255 instructions at most; a plain jump has no such limit.
        Err(_) => {
            let far = u32::try_from(distance).expect("a program has less than 4096 instructions");
            vec![instruction(IF_AT_LEAST, 0, 1, pivot), instruction(JUMP, 0, 0, far)]
        }
    };
    program.extend(below);
    program.extend(above);
    program
}

fn leaf(verdict: Verdict) -> Vec<Instruction> {
    let refuse = give(errno(libc::EPERM));
    match verdict {
        Verdict::Allow => vec![give(ALLOW)],
        Verdict::Refuse => vec![refuse],
        Verdict::Unknown => vec![give(errno(libc::ENOSYS))],
        Verdict::CheckClone => vec![
            instruction(LOAD, 0, 0, argument(0)),
            instruction(IF_ANY_BIT, 1, 0, NAMESPACES),
            give(ALLOW),
            refuse,
        ],
        Verdict::CheckSocket => vec![
            instruction(LOAD, 0, 0, argument(0)),
            instruction(IF_EQUAL, 5, 0, 1),  // AF_UNIX
            instruction(IF_EQUAL, 4, 0, 2),  // AF_INET
            instruction(IF_EQUAL, 3, 0, 10), // AF_INET6
            instruction(IF_EQUAL, 0, 3, 16), // AF_NETLINK
            instruction(LOAD, 0, 0, argument(2)),
            instruction(IF_EQUAL, 0, 1, 0), // NETLINK_ROUTE
            give(ALLOW),
            refuse,
        ],
        Verdict::CheckIoctl => vec![
            instruction(LOAD, 0, 0, argument(1)),
            instruction(IF_EQUAL, 2, 0, 0x5412), // TIOCSTI
            instruction(IF_EQUAL, 1, 0, 0x541c), // TIOCLINUX
            give(ALLOW),
            refuse,
        ],
        Verdict::CheckPersonality => vec![
            instruction(LOAD, 0, 0, argument(0)),
            instruction(IF_EQUAL, 2, 0, 0),
            instruction(IF_EQUAL, 1, 0, u32::MAX),
            refuse,
            give(ALLOW),
        ],
        Verdict::CheckOwn => vec![
            instruction(LOAD, 0, 0, argument(0)),
            instruction(IF_EQUAL, 1, 0, 0), // the caller
            refuse,
            give(ALLOW),
        ],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::table::ranges;
    use super::*;

    /// Runs a program as the kernel does, on a number and its arguments.
    fn run(program: &[Instruction], architecture: u32, number: u32, args: [u32; 3]) -> u32 {
        let (mut at, mut word) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let choose = |condition| usize::from(if condition { jt } else { jf });
            match code {
                LOAD if k == NUMBER => word = number,
                LOAD if k == ARCHITECTURE => word = architecture,
                LOAD => word = args[usize::try_from((k - 16) / 8).expect("an argument")],
                RETURN => return k,
                JUMP => at += usize::try_from(k).expect("a distance"),
                IF_EQUAL => at += choose(word == k),
                IF_AT_LEAST => at += choose(word >= k),
                IF_ANY_BIT => at += choose(word & k != 0),
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    fn judge(call: libc::c_long, args: [u32; 3]) -> u32 {
        let number = u32::try_from(call).expect("a number");
        run(&program(&ranges()), OUR_ARCHITECTURE, number, args)
    }

    const REFUSED: u32 = errno(libc::EPERM);

    #[test]
    fn every_number_gets_the_verdict_of_its_range() {
        let ranges = ranges();
        let program = program(&ranges);
        for number in (0..600).chain([0x4000_0000, u32::MAX]) {
            let range = ranges.iter().rev().find(|range| range.first <= number);
            let verdict = range.expect("ranges begin at 0").verdict;
            let given = run(&program, OUR_ARCHITECTURE, number, [0, 0, 0]);
            let expected = match verdict {
                Verdict::Refuse => REFUSED,
                Verdict::Unknown => errno(libc::ENOSYS),
                // No flags, no family, no request, the ordinary personality, the caller itself.
                Verdict::CheckSocket => REFUSED,
                Verdict::Allow
                | Verdict::CheckClone
                | Verdict::CheckIoctl
                | Verdict::CheckPersonality
                | Verdict::CheckOwn => ALLOW,
            };
            assert_eq!(given, expected, "number {number}");
        }
    }

    #[test]
    fn another_architecture_ends_the_process() {
        let i386 = 0x4000_0003;
        assert_eq!(run(&program(&ranges()), i386, 1, [0, 0, 0]), KILL);
    }

    #[test]
    fn a_new_namespace_is_refused_and_a_thread_is_not() {
        let thread = 0x003d_0f00;
        assert_eq!(judge(libc::SYS_clone, [thread, 0, 0]), ALLOW);
        for flag in [0x0002_0000, 0x0200_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
            assert_eq!(judge(libc::SYS_clone, [thread | flag, 0, 0]), REFUSED, "{flag:#x}");
        }
    }

    #[test]
    fn families_that_servers_use_are_allowed_and_others_are_not() {
        for family in [1, 2, 10, 16] {
            assert_eq!(judge(libc::SYS_socket, [family, 1, 0]), ALLOW, "{family}");
        }
        // packet, AF_ALG, vsock, and netlink's audit.
        for (family, protocol) in [(17, 0), (38, 0), (40, 0), (16, 9)] {
            assert_eq!(judge(libc::SYS_socket, [family, 1, protocol]), REFUSED, "{family}");
        }
    }

    #[test]
    fn a_terminals_input_cannot_be_forged() {
        assert_eq!(judge(libc::SYS_ioctl, [0, 0x5412, 0]), REFUSED);
        assert_eq!(judge(libc::SYS_ioctl, [0, 0x5413, 0]), ALLOW);
    }

    #[test]
    fn limits_are_set_for_the_caller_alone() {
        assert_eq!(judge(libc::SYS_prlimit64, [0, 7, 0]), ALLOW);
        assert_eq!(judge(libc::SYS_prlimit64, [2, 7, 0]), REFUSED);
    }

    proptest! {
        /// Long jumps included: a program of any size finds the range of any number.
        #[test]
        fn halving_finds_the_right_range(
            mut starts in proptest::collection::btree_set(1u32..100_000, 1..600),
            number in 0u32..100_001,
        ) {
            starts.insert(0);
            let verdicts = [Verdict::Allow, Verdict::Refuse, Verdict::CheckSocket];
            let ranges: Vec<Range> = (starts.iter().zip(verdicts.iter().cycle()))
                .map(|(first, verdict)| Range { first: *first, verdict: *verdict })
                .collect();
            let found = ranges.iter().rev().find(|range| range.first <= number);
            let expected = match found.expect("begins at 0").verdict {
                Verdict::Allow => ALLOW,
                _ => REFUSED,
            };
            prop_assert_eq!(run(&program(&ranges), OUR_ARCHITECTURE, number, [0; 3]), expected);
        }
    }
}
