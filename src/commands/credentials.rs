//! `granulefs credentials`

use std::io::IsTerminal;

use aws_credential_types::Credentials;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{logins, output, reach};
use crate::catalog::{ResolvedBucket, ResolvedSource};
use crate::cli::{CredentialsArgs, Format, timestamp};
use crate::credentials::{CredentialsCache, Provider};
use crate::error::Error;

/// Prints credentials, or a profile that fetches them.
///
/// # Errors
/// [`Error::Usage`] when the output is a terminal, or when the source has more than one endpoint;
/// those of the login.
pub fn run(args: &CredentialsArgs) -> Result<(), Error> {
    reach::hide_memory();
    let is_secret = args.format != Format::AwsProfile;
    if is_secret && !args.show && std::io::stdout().is_terminal() {
        return Err(Error::usage(
            "that would print secrets to the terminal; send it elsewhere, or add --show",
        ));
    }
    let runtime = Runtime::new().map_err(|e| Error::store(format!("cannot start threads: {e}")))?;
    let text = runtime.block_on(text(args))?;
    output::print(&text)
}

async fn text(args: &CredentialsArgs) -> Result<String, Error> {
    let resolved = reach::resolved(&args.source, &args.earthdata).await?;
    let place = one_endpoint(&resolved, args)?;
    let login = logins::login(place, &resolved, &args.earthdata)?;
    let region = args.region.of(place);
    if args.format == Format::AwsProfile {
        return profile(place, login.endpoint(), &region, args);
    }
    let session =
        logins::first_session(&CredentialsCache::new(Provider::Earthdata(Box::new(login)))).await?;
    written(session.keys(), &region, args.format)
}

/// A place to have credentials for; all others there are have the same endpoint.
fn one_endpoint<'h>(
    resolved: &'h ResolvedSource,
    args: &CredentialsArgs,
) -> Result<&'h ResolvedBucket, Error> {
    let endpoint = |place| args.earthdata.endpoint(place, resolved);
    let [first, others @ ..] = &resolved.buckets[..] else {
        return Err(Error::usage("that is no bucket"));
    };
    if others.iter().any(|other| endpoint(other) != endpoint(first)) {
        let names = resolved
            .buckets
            .iter()
            .map(|place| place.location.bucket.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Error::usage(format!(
            "credentials are for one endpoint, and those are several; name a bucket: {names}"
        )));
    }
    Ok(first)
}

fn written(keys: &Credentials, region: &str, format: Format) -> Result<String, Error> {
    let (key, secret) = (keys.access_key_id(), keys.secret_access_key());
    let token = keys.session_token().unwrap_or_default();
    let expiration = keys.expiry().map(timestamp);
    match format {
        Format::Json => output::json(&json!({
            "accessKeyId": key, "secretAccessKey": secret, "sessionToken": token, "expiration": expiration, "region": region,
        })),
        // https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sourcing-external.html
        Format::Process => output::json(&json!({
            "Version": 1, "AccessKeyId": key, "SecretAccessKey": secret, "SessionToken": token, "Expiration": expiration,
        })),
        Format::Env | Format::AwsProfile => {
            let variables = [
                ("AWS_ACCESS_KEY_ID", key),
                ("AWS_SECRET_ACCESS_KEY", secret),
                ("AWS_SESSION_TOKEN", token),
                ("AWS_REGION", region),
                ("AWS_DEFAULT_REGION", region),
            ];
            // No quote is in any of them; a shell must not read on if one were.
            Ok(variables
                .iter()
                .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
                .collect())
        }
    }
}

/// A section of ~/.aws/config. All that is not in the user's environment for ever is written out.
fn profile(
    place: &ResolvedBucket,
    endpoint: &str,
    region: &str,
    args: &CredentialsArgs,
) -> Result<String, Error> {
    let failed =
        |e: std::io::Error| Error::store(format!("cannot find the program's own path: {e}"));
    let program = std::env::current_exe().map_err(failed)?;
    let bucket = &place.location.bucket;
    let mut words = vec![program.display().to_string()];
    let source = format!("s3://{bucket}/");
    words.extend(
        ["credentials", &source, "--format", "process", "--credentials-endpoint", endpoint]
            .map(Into::into),
    );
    words.extend(["--earthdata-host", &args.earthdata.earthdata_host].map(Into::into));
    let command = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let name = format!("earthdata-{bucket}");
    Ok(format!(
        "# For ~/.aws/config; then: aws --profile {name} s3 ls {source}\n[profile {name}]\nregion = {region}\ncredential_process = {command}\n"
    ))
}

/// A word of a credential_process. The tools split it in the manner of a shell, some with one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+=@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let escaped = word
        .chars()
        .flat_map(|c| matches!(c, '"' | '\\' | '$' | '`').then_some('\\').into_iter().chain([c]));
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn keys(secret: &str) -> Credentials {
        let expiry = SystemTime::now() + Duration::from_secs(3600);
        Credentials::new("ASIA1", secret, Some("tok/en+=".into()), Some(expiry), "test")
    }

    #[test]
    fn a_shell_reads_the_variables_as_they_are() {
        let text = written(&keys("se'cret"), "us-west-2", Format::Env).unwrap();
        assert_eq!(
            text,
            "export AWS_ACCESS_KEY_ID='ASIA1'\nexport AWS_SECRET_ACCESS_KEY='se'\\''cret'\nexport AWS_SESSION_TOKEN='tok/en+='\n\
             export AWS_REGION='us-west-2'\nexport AWS_DEFAULT_REGION='us-west-2'\n"
        );
    }

    #[test]
    fn aws_and_earthdata_each_have_their_own_names() {
        let read = |format| {
            let text = written(&keys("hush"), "us-west-2", format).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let (process, json) = (read(Format::Process), read(Format::Json));
        assert_eq!(
            (&process["Version"], &process["AccessKeyId"], &process["SecretAccessKey"]),
            (&json!(1), &json!("ASIA1"), &json!("hush"))
        );
        assert_eq!(process["SessionToken"], json["sessionToken"]);
        assert!(process["Expiration"].as_str().unwrap().ends_with('Z'));
        assert_eq!((&json["accessKeyId"], &json["region"]), (&json!("ASIA1"), &json!("us-west-2")));
    }

    #[test]
    fn words_of_a_command_are_quoted_where_they_must_be() {
        for (word, written) in [
            ("/usr/bin/x-y_z", "/usr/bin/x-y_z"),
            ("a b", "\"a b\""),
            ("", "\"\""),
            ("a\"$`\\", "\"a\\\"\\$\\`\\\\\""),
        ] {
            assert_eq!(quoted(word), written);
        }
    }
}
