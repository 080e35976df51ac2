//! What comes along for operators: alerts and a dashboard, judged by Prometheus' own tool.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::http::Request;
use super::metrics::{promtool, read, start};
use super::program::serve;

fn dist(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dist").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(dist(name)).expect("it is there")
}

/// The expressions of the dashboard, with its variables filled in.
fn expressions() -> Vec<String> {
    let board: Value = serde_json::from_str(&text("grafana.json")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets").clone());
    let filled = targets.map(|target| {
        let expression = target["expr"].as_str().expect("an expression").to_owned();
        expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
    });
    filled.collect()
}

/// The metrics that an expression names.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("haversack_"));
    let of_histogram = |name: &str| {
        let suffixes = ["_bucket", "_sum", "_count"];
        suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name).to_owned()
    };
    names.map(of_histogram).collect()
}

#[test]
fn the_alerts_are_valid_and_fire_for_their_causes() {
    let path = |name| dist(name).to_str().expect("UTF-8").to_owned();
    for arguments in
        [["check", "rules", &path("alerts.yml")], ["test", "rules", &path("alerts.test.yml")]]
    {
        let (accepted, said) = promtool(&arguments, "");
        assert!(accepted, "{arguments:?}: {said}");
    }
    let (rules, tests) = (text("alerts.yml"), text("alerts.test.yml"));
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let guide = std::fs::read_to_string(dist("../docs/monitoring.md")).expect("it is there");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
        assert!(guide.contains(alert), "docs/monitoring.md doesn't say what to do about {alert}");
    }
}

#[test]
fn the_dashboards_expressions_are_valid() {
    let rules: String = expressions()
        .iter()
        .enumerate()
        .map(|(number, expression)| {
            let expression = Value::from(expression.as_str());
            format!("      - record: panel:{number}\n        expr: {expression}\n")
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, format!("groups:\n  - name: dashboard\n    rules:\n{rules}"))
        .expect("written");
    let (accepted, said) = promtool(&["check", "rules", file.to_str().expect("UTF-8")], "");
    assert!(accepted, "{said}");
}

#[test]
fn alerts_dashboard_and_guide_name_only_metrics_that_there_are_and_the_guide_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, address) = start(&mut serve(dir.path()));
    // Families appear with their first member.
    Request::new("GET", "/nowhere").send(&server.host).expect("a reply");
    server.wait_until("it is counted", || read(&address).contains("haversack_http_requests_total"));
    let metrics = read(&address);
    server.stop();
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let known: BTreeSet<String> =
        lines.map(|line| line.split(' ').next().expect("a name").to_owned()).collect();
    let used = expressions().iter().map(String::as_str).chain([text("alerts.yml").as_str()]).fold(
        BTreeSet::new(),
        |mut used, text| {
            used.append(&mut names(text));
            used
        },
    );
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not in {metrics}");
    let guide = std::fs::read_to_string(dist("../docs/monitoring.md")).expect("it is there");
    for name in known {
        let name = name.trim_start_matches("haversack_");
        let named = name.starts_with("process_") || guide.contains(&format!("`{name}`"));
        assert!(named, "docs/monitoring.md doesn't describe {name}");
    }
}
