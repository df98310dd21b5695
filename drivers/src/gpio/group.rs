//! The name of the group that a file belongs to, for an error that says what to do.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// `None` if the file or its group is unknown.
pub(super) fn of(path: &Path) -> Option<String> {
    let id = std::fs::metadata(path).ok()?.gid();
    named(&std::fs::read_to_string("/etc/group").ok()?, id)
}

fn named(groups: &str, id: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_name_that_stands_beside_its_number() {
        let groups = "root:x:0:\nbroken\ngpio:x:997:pi,operator\n";
        assert_eq!(named(groups, 997).as_deref(), Some("gpio"));
        assert_eq!(named(groups, 996), None);
        assert_eq!(of(Path::new("/etc/group")).as_deref(), Some("root"));
    }
}
