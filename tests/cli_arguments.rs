//! The command line as it is typed and documented, and the commands that need no running keyturn.

use clap::{CommandFactory as _, Parser as _};
use keyturn::cli::{Cli, Command, Console, EscrowCommand, Exit, complete, list_escrow, report_mistakes};
use keyturn::mistake::Mistake;

const DOCUMENT: &str = include_str!("../docs/cli.md");

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(format!("keyturn {line}").split_whitespace())
}

#[test]
fn the_parser_is_consistent_and_help_shows_the_exit_codes() {
    Cli::command().debug_assert();
    let help = Cli::command().render_help().to_string();
    for exit in Exit::ALL {
        assert!(help.contains(&format!("{}  {}", exit.code(), exit.meaning())), "{help}");
    }
}

#[test]
fn the_document_has_every_exit_code_command_and_option() {
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(DOCUMENT.contains(&row), "docs/cli.md lacks {row}");
    }
    let cli = Cli::command();
    let mut commands: Vec<&clap::Command> = cli.get_subcommands().collect();
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        assert!(DOCUMENT.contains(command.get_name()), "docs/cli.md lacks {}", command.get_name());
        for option in
            command.get_arguments().filter(|option| !option.is_hide_set()).filter_map(clap::Arg::get_long)
        {
            assert!(DOCUMENT.contains(&format!("--{option}")), "docs/cli.md lacks --{option}");
        }
    }
}

#[test]
fn contradictions_and_bad_names_are_refused() {
    let bad = [
        "rotate",
        "rotate Not_A_Name",
        "rotate adyen --wait --dry-run",
        "rotate adyen --socket a --address http://b",
        "resolve adyen",
        "resolve adyen --as maybe",
        "resolve adyen --as keep-current --rotation 7",
        "pause adyen",
        "run",
        "status --output xml",
    ];
    for line in bad {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
    }
    assert!(matches!(parse("run --config keyturn.yaml").unwrap().command, Command::Run { .. }));
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "fish", "zsh"] {
        let Command::Completions { shell } = parse(&format!("completions {shell}")).unwrap().command else {
            panic!("completions are a command of their own");
        };
        let mut script = Vec::new();
        assert_eq!(complete(shell, &mut script), Exit::Done);
        assert!(String::from_utf8(script).unwrap().contains("resolve"));
    }
}

#[test]
fn mistakes_are_all_said_at_once() {
    let mistakes = [
        Mistake::new("vault.address", "is missing").hint("write the address of Vault"),
        Mistake::new("credentials[1].name", "is there twice"),
    ];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let file = std::path::Path::new("keyturn.yaml");
    let exit = report_mistakes(file, &mistakes, &mut Console::new(&mut out, &mut err));
    assert_eq!((exit, out.as_slice()), (Exit::Usage, b"".as_slice()));
    assert_eq!(
        String::from_utf8(err).unwrap(),
        "error: keyturn.yaml has 2 mistakes\n  vault.address: is missing (write the address of Vault)\n  \
         credentials[1].name: is there twice\n"
    );
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(report_mistakes(file, &[], &mut Console::new(&mut out, &mut err)), Exit::Done);
    assert_eq!(out, b"keyturn.yaml is right\n");
}

#[test]
fn an_escrow_directory_is_listed_or_named_in_the_error() {
    let directory = tempfile::tempdir().unwrap();
    let list = |dir: &str| {
        let line = format!("escrow list --dir {dir}");
        let Command::Escrow(EscrowCommand::List { dir, output }) = parse(&line).unwrap().command else {
            panic!("escrow list is a command of its own");
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = list_escrow(&dir, &output, &mut Console::new(&mut out, &mut err));
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    };
    let (exit, out, _) = list(directory.path().to_str().unwrap());
    assert_eq!(exit, Exit::Done);
    assert!(out.contains("holds no slot"));
    let (exit, _, err) = list("/nonexistent/escrow");
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("/nonexistent/escrow") && err.contains("No such file"), "{err}");
}

#[test]
fn a_reader_who_has_gone_has_read_enough_and_the_exit_code_still_counts() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = home.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let right = write("right.yaml", OWN);
    let vain = write("vain.yaml", &format!("{OWN}grace: {{ fixed: 2m }}\nredo: {{ max_calls: 2 }}\n"));
    let wrong = write("wrong.yaml", "name: [");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/keyturn.yaml");
    let escrow = format!("escrow list --dir {}", home.path().display());
    for (line, expected) in [
        ("providers", Exit::Done),
        ("providers -o json", Exit::Done),
        ("providers show adyen/api-key -o yaml", Exit::Done),
        ("providers schema", Exit::Done),
        (&format!("providers check {right}"), Exit::Done),
        (&format!("providers check {right} {wrong} -o json"), Exit::Usage),
        (&format!("providers test {vain}"), Exit::Findings),
        (&format!("config check {example}"), Exit::Done),
        ("config schema", Exit::Done),
        (&escrow, Exit::Done),
        ("completions bash", Exit::Done),
        ("--help", Exit::Done),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_keyturn"));
        command.args(line.split_whitespace()).stdout(writer).stderr(std::process::Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(i32::from(expected.code())), ""), "{line}");
    }
}

const OWN: &str = "name: own/key
title: Own
environments: { live: https://own.example }
default_environment: live
auth: [{ header: { name: X-Key } }]
self: always
regenerate: { path: /keys }
answer: { secret: /key }
";
