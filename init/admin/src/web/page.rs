//! The node page: which machine answered.

use std::time::Duration;

use super::role::Role;

/// Renders the page. Names come from the cluster file and are escaped all the same.
pub(super) fn render(node: &str, cluster: &str, role: Option<Role>, running: Duration) -> String {
    let (node, cluster) = (escape(node), escape(cluster));
    let seconds = running.as_secs();
    let tenth = running.subsec_millis() / 100;
    let role = role.map_or(String::new(), |role| {
        format!("\n<p>This instance is <b>{}</b>.</p>", role.word())
    });
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{node} ({cluster})</title>
<style>
body {{ font: 1.2rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 18vh auto; padding: 0 1rem;
  color: #1d2025; background: #f6f5f1; }}
h1 {{ font-size: 3rem; margin: 0; }}
</style>
</head>
<body>
<p>This page was served by</p>
<h1>{node}</h1>
<p>of cluster <b>{cluster}</b>, where the service has run for {seconds}.{tenth} s.</p>{role}
</body>
</html>
"#
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_node_as_text() {
        let page = render("node<1>", "a&b", None, Duration::from_millis(61_250));
        assert!(page.contains("<h1>node&lt;1&gt;</h1>"));
        assert!(page.contains("<b>a&amp;b</b>"));
        assert!(page.contains("61.2 s") && !page.contains("promoted"));
    }
}
