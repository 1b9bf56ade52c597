//! Runtime `command`: any HTTP server, told where to listen and otherwise left alone.

use super::plan::{Layout, StartPlan};

pub(super) fn plan(argv: &[String], layout: &Layout) -> StartPlan {
    let socket = layout.socket.display().to_string();
    StartPlan {
        argv: argv.to_vec(),
        env: vec![("HATCHWAY_SOCKET".to_owned(), socket)],
        read_only_mounts: Vec::new(),
        inherits_listener: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_words_and_is_told_where_to_listen() {
        let argv = ["./server".to_owned(), "--quiet".to_owned()];
        let plan = plan(&argv, &Layout::default());
        assert_eq!(plan.argv, argv);
        assert_eq!(plan.env, [("HATCHWAY_SOCKET".into(), "/run/hatchway/http.sock".into())]);
        assert!(!plan.inherits_listener);
    }
}
