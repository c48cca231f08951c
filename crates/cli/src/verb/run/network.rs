//! What the machines of a run reach, from the command line.

use std::sync::Arc;

use machine::network::{Policy, PolicyError, Proxy, Rule};
use machine::{Caller, Network};
use runner::checkpoint::KeptNetwork;

use super::args::NetworkChoice;
use crate::failure::{Exit, Failure};

/// The network of machines that reach `choice` and `exceptions`.
pub(in crate::verb) fn of(
    choice: &NetworkChoice,
    exceptions: &[Rule],
    caller: &Caller,
) -> Result<Network, Failure> {
    let exceptions = exceptions.to_vec();
    let policy = match choice {
        NetworkChoice::None if !exceptions.is_empty() => {
            return Err(Failure::usage("`--network-allow` admits nothing with `--network none`")
                .with_help("`--network allow=DESTINATION,…` reaches these destinations and no other"));
        }
        NetworkChoice::None => return Ok(Network::None),
        NetworkChoice::Full if exceptions.is_empty() => return Ok(Network::Full),
        // What everything public is reached through is reached itself.
        NetworkChoice::Full => Policy::public(exceptions.into_iter().chain(proxies(caller)).collect()),
        NetworkChoice::Allow(list) => Policy::list(list.clone(), exceptions),
    };
    let policy = policy.map_err(|error: PolicyError| Failure::new(Exit::Usage, error))?;
    Ok(Network::Limited(Arc::new(policy)))
}

/// What the machines of an earlier run reached, as the command line would say it.
pub(super) fn kept(network: &KeptNetwork) -> Result<(NetworkChoice, Vec<Rule>), Failure> {
    let rules = |texts: &[String]| texts.iter().map(|text| text.parse()).collect::<Result<Vec<Rule>, _>>();
    let damaged = |error: PolicyError| {
        Failure::new(Exit::Usage, error).while_doing("cannot read what the machine reached")
    };
    Ok(match network {
        KeptNetwork::Full => (NetworkChoice::Full, Vec::new()),
        KeptNetwork::None => (NetworkChoice::None, Vec::new()),
        KeptNetwork::Limited { list, exceptions } => {
            let choice = match list {
                None => NetworkChoice::Full,
                Some(list) => NetworkChoice::Allow(rules(list).map_err(damaged)?),
            };
            (choice, rules(exceptions).map_err(damaged)?)
        }
    })
}

/// The proxies that the environment names, as destinations.
fn proxies(caller: &Caller) -> Vec<Rule> {
    Proxy::of(caller).iter().filter_map(Proxy::rule).collect()
}

/// What should be known of the proxies that the environment names.
pub(super) fn notes(network: &Network, caller: &Caller) -> Vec<String> {
    let Network::Limited(policy) = network else { return Vec::new() };
    let proxies = Proxy::of(caller);
    let notes = proxies.iter().filter_map(|proxy| {
        let rule = proxy.rule()?;
        let name = proxy.variable;
        Some(if policy.admits(&rule) {
            format!("note: the machines reach the proxy {rule} of `{name}`, and what it gives them")
        } else {
            format!("note: the list does not name the proxy {rule} of `{name}`; `--network-allow {rule}` admits it, and with it what it gives")
        })
    });
    notes.collect()
}
