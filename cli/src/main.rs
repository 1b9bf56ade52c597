//! `hatchway`: what a person types. One file per command in [`command`]; `hatchway up`, which runs a gateway
//! and a node, is a folder of its own in [`up`].

mod access;
mod admin;
mod command;
mod count;
mod failure;
mod gateways;
mod output;
mod project;
mod rehearsal;
mod report;
mod rules;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Half of the instructions of glibc's for what a request allocates (`make perf-budget`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Functions that hatch on a request and are reaped when idle.
#[derive(Debug, Parser)]
#[command(name = "hatchway", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve projects on this machine: a gateway and a node in one process.
    Up(up::Args),
    /// Make a project to start from.
    New(command::new::Args),
    /// Report every mistake of projects; start nothing.
    Check(command::check::Args),
    /// Write the checked objects of projects to the rules, in a file or in etcd.
    Apply(command::apply::Args),
    /// Pack projects into a store, write them to the rules, and choose who gets them.
    Deploy(command::deploy::Args),
    /// Choose which version of a function answers: stable, shares of it, tags.
    Release(command::release::Args),
    /// Show who changed the rules, when and why.
    History(command::history::Args),
    /// Show how the rules differ between two revisions.
    Diff(command::diff::Args),
    /// Make the rules, or one object of them, what they were at a revision.
    Rollback(command::rollback::Args),
    /// Give a new version a growing share in steps, and everything or nothing at the end.
    Rollout(command::rollout::Args),
    /// Call a function through the gateway.
    Invoke(command::invoke::Args),
    /// Show what functions print.
    Logs(command::logs::Args),
    /// List sandboxes, with memory and CPU as measured.
    Ps(command::ps::Args),
    /// Show what is served, how well, and what is missing.
    Status(command::status::Args),
    /// Say where a request would go, and why.
    Explain(command::explain::Args),
    /// Print the JSON schema of hatchway.toml, or the document of the admin API.
    Schema(command::schema::Args),
    /// Give somebody a token for the admin API of gateways.
    Token(command::token::Args),
    /// Print a completion script for a shell.
    Completions(command::completions::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Up(args) => return up::run(args),
        Command::New(args) => command::new::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Apply(args) => command::apply::run(&args),
        Command::Deploy(args) => command::deploy::run(&args),
        Command::Release(args) => command::release::run(&args),
        Command::History(args) => command::history::run(&args),
        Command::Diff(args) => command::diff::run(&args),
        Command::Rollback(args) => command::rollback::run(&args),
        Command::Rollout(args) => command::rollout::run(&args),
        Command::Invoke(args) => command::invoke::run(&args),
        Command::Logs(args) => command::logs::run(&args),
        Command::Ps(args) => command::ps::run(&args),
        Command::Status(args) => command::status::run(&args),
        Command::Explain(args) => command::explain::run(&args),
        Command::Schema(args) => command::schema::run(&args),
        Command::Token(args) => command::token::run(&args),
        Command::Completions(args) => command::completions::run::<Cli>(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
