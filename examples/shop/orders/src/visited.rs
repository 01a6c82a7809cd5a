//! The trail of a request: the list of names under `visited` in the JSON that services answer with.
//!
//! No JSON parser: names of services are letters, digits, `-` and `_`, so the list is found by its
//! key, and whatever else stands in it is left out.

/// Services a trail may name.
const VISITED_MAX: usize = 64;

/// Adds the names in `json` that are not there yet.
pub fn add(visited: &mut Vec<String>, json: &str) {
    let list = json
        .split_once(r#""visited""#)
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .and_then(|rest| rest.trim_start().strip_prefix('['))
        .and_then(|rest| rest.split_once(']'));
    let Some((list, _)) = list else { return };
    for name in list.split(',').map(|it| it.trim().trim_matches('"')) {
        let is_name = !name.is_empty()
            && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
        if is_name && visited.len() < VISITED_MAX && !visited.iter().any(|it| it == name) {
            visited.push(name.to_owned());
        }
    }
}

/// The names as a JSON list.
pub fn list(visited: &[String]) -> String {
    let quoted: Vec<_> = visited.iter().map(|it| format!("\"{it}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let mut visited = vec!["orders".to_owned()];
        add(&mut visited, json);
        assert_eq!(list(&visited), expected, "{json}");
    }

    #[test]
    fn names_are_found_and_nothing_else() {
        check(r#"{"visited":["payments","bank"]}"#, r#"["orders", "payments", "bank"]"#);
        check(r#"{"a": [1], "visited" : [ "orders", "x" ], "b": []}"#, r#"["orders", "x"]"#);
        check(r#"{"visited": ["<b>", "a\"b", 7, ""]}"#, r#"["orders", "7"]"#);
        for json in ["", "{}", r#"{"visited": "#, r#"{"visited": ["#, r#"{"visited": {}}"#] {
            check(json, r#"["orders"]"#);
        }
    }
}
