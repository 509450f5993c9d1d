//! The order of resources, as text and for graphviz.

use std::fmt::Write;

use provision_core::graph::Graph;
use provision_core::plan::Plan;
use provision_core::resource::Relation;

use super::super::page::{FAINT, PLAIN, Page, STRONG};
use crate::error::count;

/// One resource a line, in the order in which they are applied.
pub fn text(graphs: &[(&str, Graph)], mut page: Page) -> Page {
    for (at, (host, graph)) in graphs.iter().enumerate() {
        if at > 0 {
            page.gap();
        }
        let title = format!("Host {host}: {}, in the order in which they are applied", count(graph.len(), "resource"));
        page.line(STRONG, &title).gap();
        let width = graph.len().to_string().len();
        let addresses = addresses(graph);
        for (index, address) in addresses.iter().enumerate() {
            page.put(FAINT, &format!("  {:>width$}  ", index + 1)).put(PLAIN, address);
            for (relation, word) in [(Relation::Uses, "uses"), (Relation::After, "after")] {
                let targets = targets(graph, &addresses, index, relation);
                if !targets.is_empty() {
                    page.put(FAINT, &format!("  {word} ")).put(PLAIN, &targets.join(", "));
                }
            }
            page.end();
        }
    }
    page
}

/// The same in the language of graphviz: an arrow leads from a resource to what it needs, dashed where only the order
/// matters.
pub fn dot(plan: &Plan, graphs: &[(&str, Graph)]) -> String {
    let mut text = format!("digraph {} {{\n  rankdir = RL;\n  node [shape = box];\n", quoted(plan.name()));
    for (host, graph) in graphs {
        let addresses = addresses(graph);
        let id = |address: &str| if graphs.len() > 1 { quoted(&format!("{host}/{address}")) } else { quoted(address) };
        let _infallible =
            writeln!(text, "  subgraph {} {{\n    label = {};", quoted(&format!("cluster_{host}")), quoted(host));
        for (index, address) in addresses.iter().enumerate() {
            let _infallible = writeln!(text, "    {} [label = {}];", id(address), quoted(address));
            for (relation, style) in [(Relation::Uses, ""), (Relation::After, " [style = dashed]")] {
                for target in targets(graph, &addresses, index, relation) {
                    let _infallible = writeln!(text, "    {} -> {}{style};", id(address), id(target));
                }
            }
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The addresses in order.
pub fn addresses(graph: &Graph) -> Vec<String> {
    graph.resources().map(|(address, _)| address.to_string()).collect()
}

/// What a resource waits for in one of the two ways.
pub fn targets<'a>(graph: &Graph, addresses: &'a [String], index: usize, wanted: Relation) -> Vec<&'a str> {
    graph
        .dependencies(index)
        .filter(|(_, relation)| *relation == wanted)
        .filter_map(|(to, _)| addresses.get(to).map(String::as_str))
        .collect()
}
