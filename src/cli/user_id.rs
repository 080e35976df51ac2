//! Ids of users, as commands take them.

/// Parses the id of a user, which is an integer in tokens, too.
pub(super) fn parse_user_id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "a user id is an integer, such as 7".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_user_id_is_told_what_one_is() {
        assert_eq!(parse_user_id("-7"), Ok(-7));
        for wrong in ["x", "", "7.5", "9223372036854775808"] {
            assert_eq!(parse_user_id(wrong).unwrap_err(), "a user id is an integer, such as 7");
        }
    }
}
