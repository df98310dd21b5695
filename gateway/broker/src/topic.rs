//! Topic names and filters: what is one, which filter matches which name, and which filter contains which other.
//!
//! MQTT 3.1.1 and 5, section 4.7.

use bytestring::ByteString;
use std::collections::BTreeMap;

/// Levels of a topic, so that no tree grows deeper than a stack carries.
const DEEPEST: usize = 32;
/// Bytes of a topic.
const LONGEST: usize = 1024;

/// Whether a client may publish to it: no wildcard, no NUL, nothing of the broker's own (`$`).
#[must_use]
pub fn is_name(topic: &str) -> bool {
    is_sound(topic) && !topic.starts_with('$') && !topic.contains(['+', '#'])
}

/// Whether it can be subscribed to.
#[must_use]
pub fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut sound = is_sound(filter);
    while let Some(level) = levels.next() {
        sound &= match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            other => !other.contains(['+', '#']),
        };
    }
    sound
}

fn is_sound(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= LONGEST && !topic.contains('\0') && topic.split('/').count() <= DEEPEST
}

/// Whether a filter matches a name. A wildcard at the front matches nothing that begins with `$`.
#[must_use]
pub fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut name) = (filter.split('/'), name.split('/'));
    loop {
        match (filter.next(), name.next()) {
            // `a/#` matches `a` too.
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(f), Some(n)) if f == n => {}
            _ => return false,
        }
    }
}

/// Whether all that `inner` matches is matched by `outer` too. Names are filters, so this also says who may publish.
#[must_use]
pub fn contains(outer: &str, inner: &str) -> bool {
    if inner.starts_with('$') && outer.starts_with(['+', '#']) {
        return false;
    }
    let (mut outer, mut inner) = (outer.split('/'), inner.split('/'));
    loop {
        match (outer.next(), inner.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(o), Some(i)) if o == i => {}
            _ => return false,
        }
    }
}

/// Whether some name is matched by both.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    if one.starts_with('$') != other.starts_with('$') {
        return false;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// Who subscribed to what, found by the levels of a name.
#[derive(Debug)]
pub(crate) struct Tree<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    here: BTreeMap<u32, T>,
    below: BTreeMap<ByteString, Node<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { here: BTreeMap::new(), below: BTreeMap::new() }
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T> Tree<T> {
    /// Puts `who` there, and says whether it was there before.
    pub fn insert(&mut self, filter: &str, who: u32, what: T) -> bool {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            node = node.below.entry(level.into()).or_default();
        }
        node.here.insert(who, what).is_some()
    }

    pub fn remove(&mut self, filter: &str, who: u32) {
        fn prune<'a, T>(node: &mut Node<T>, mut levels: impl Iterator<Item = &'a str>, who: u32) {
            match levels.next() {
                None => {
                    node.here.remove(&who);
                }
                Some(level) => {
                    if let Some(next) = node.below.get_mut(level) {
                        prune(next, levels, who);
                        if next.here.is_empty() && next.below.is_empty() {
                            node.below.remove(level);
                        }
                    }
                }
            }
        }
        prune(&mut self.root, filter.split('/'), who);
    }

    /// Calls `found` for all whose filter matches `name`; for one with several such filters, several times.
    pub fn find(&self, name: &str, mut found: impl FnMut(u32, &T)) {
        let levels: Vec<&str> = name.split('/').collect();
        walk(&self.root, &levels, name.starts_with('$'), &mut found);
    }
}

fn walk<T>(node: &Node<T>, levels: &[&str], reserved: bool, found: &mut impl FnMut(u32, &T)) {
    let mut tell = |node: &Node<T>| node.here.iter().for_each(|(who, what)| found(*who, what));
    if !reserved && let Some(rest) = node.below.get("#") {
        tell(rest);
    }
    let Some((first, rest)) = levels.split_first() else {
        tell(node);
        return;
    };
    if !reserved && let Some(any) = node.below.get("+") {
        walk(any, rest, false, found);
    }
    if let Some(next) = node.below.get(*first) {
        walk(next, rest, false, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_and_names_are_told_apart_by_the_rules() {
        for name in ["a", "/", "a//b", "home-1/power", "ä/ö"] {
            assert!(is_name(name) && is_filter(name), "{name}");
        }
        for filter in ["#", "+", "a/+", "+/b/#", "/#", "$SYS/#"] {
            assert!(is_filter(filter) && !is_name(filter), "{filter}");
        }
        for neither in ["", "a/#/b", "a#", "a/b+", "a\0b", &"a/".repeat(40), &"x".repeat(2000)] {
            assert!(!is_filter(neither) && !is_name(neither), "{neither:?}");
        }
    }

    #[test]
    fn the_examples_of_the_standard_hold() {
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1"));
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
        assert!(matches("sport/+", "sport/") && !matches("sport/+", "sport"));
        assert!(matches("+/+", "/finance") && matches("/+", "/finance") && !matches("+", "/finance"));
        assert!(!matches("#", "$SYS/load") && !matches("+/load", "$SYS/load") && matches("$SYS/#", "$SYS/load"));
    }

    #[test]
    fn one_filter_contains_another_only_if_it_matches_all_of_it() {
        assert!(contains("a/#", "a") && contains("a/#", "a/+/b") && contains("a/#", "a/#") && contains("#", "+/x"));
        assert!(contains("a/+", "a/b") && contains("a/+", "a/+") && contains("+/b", "a/b"));
        assert!(
            !contains("a/+", "a/#") && !contains("a/b", "a/+") && !contains("a/+", "a") && !contains("#", "$SYS/#")
        );
        assert!(!contains("+", "#") && !contains("a", "a/#"));
    }

    fn filter() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "", "+", "$x"]), 1..4)
            .prop_flat_map(|levels| (Just(levels), any::<bool>()))
            .prop_map(|(levels, rest)| levels.join("/") + if rest { "/#" } else { "" })
            .prop_filter("an empty one is none", |f| is_filter(f))
    }

    fn name() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "c", "", "$x"]);
        prop::collection::vec(level, 1..5).prop_map(|l| l.join("/")).prop_filter("empty", |n| !n.is_empty())
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_the_filters_match(filters in prop::collection::vec(filter(), 1..12), gone in 0_usize..12,
                                                 name in name()) {
            let mut tree = Tree::default();
            for (who, filter) in (0_u32..).zip(&filters) {
                tree.insert(filter, who, ());
            }
            let gone = (gone < filters.len()).then_some(gone);
            if let Some(gone) = gone {
                tree.remove(&filters[gone], u32::try_from(gone).unwrap());
            }
            let mut found = Vec::new();
            tree.find(&name, |who, ()| found.push(who as usize));
            found.sort_unstable();
            let expected: Vec<usize> = (0..filters.len())
                .filter(|at| Some(*at) != gone && matches(&filters[*at], &name)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn filters_that_match_one_name_overlap(one in filter(), other in filter(), name in name()) {
            prop_assert_eq!(overlap(&one, &other), overlap(&other, &one));
            if matches(&one, &name) && matches(&other, &name) {
                prop_assert!(overlap(&one, &other), "{} and {} both match {}", one, other, name);
            }
        }

        #[test]
        fn whatever_an_inner_filter_matches_its_outer_matches(outer in filter(), inner in filter(), name in name()) {
            if contains(&outer, &inner) && matches(&inner, &name) {
                prop_assert!(matches(&outer, &name), "{} contains {} but not {}", outer, inner, name);
            }
        }
    }
}
