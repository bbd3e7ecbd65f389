//! `granulefs credentials`

use std::io::IsTerminal;

use aws_credential_types::Credentials;
use serde_json::json;

use super::{output, process};
use crate::cli::{CredentialsArgs, EarthdataArgs, Format, timestamp};
use crate::connect::{Connection, connect};
use crate::error::{Error, Problem};

/// Prints credentials, or a profile that fetches them.
///
/// # Errors
/// [`Error::Usage`] when the output is a terminal, or when the source has more than one endpoint;
/// those of the login.
pub fn run(args: &CredentialsArgs) -> Result<(), Error> {
    process::hide_memory();
    let is_secret = args.format != Format::AwsProfile;
    if is_secret && !args.show && std::io::stdout().is_terminal() {
        return Err(Error::usage(
            "that would print secrets to the terminal; send it elsewhere, or add --show",
        ));
    }
    let text = process::runtime()?.block_on(text(args))?;
    output::print(&text)
}

async fn text(args: &CredentialsArgs) -> Result<String, Error> {
    let connections = connect(&args.source, &args.settings()?).await?;
    output::notes(&connections.notes);
    let connection = of_one_endpoint(&connections.buckets)?;
    if args.format == Format::AwsProfile {
        return profile(connection, &args.earthdata);
    }
    let first = connection.log_in(output::progress).await?;
    written(first.credentials.keys(), &connection.region, args.format)
}

/// The first of `connections`. All of them have the same endpoint.
fn of_one_endpoint(connections: &[Connection]) -> Result<&Connection, Error> {
    let [first, others @ ..] = connections else {
        return Err(Error::usage("that is no bucket"));
    };
    if others.iter().any(|other| other.endpoint != first.endpoint) {
        let names = connections.iter().map(|connection| connection.location.bucket.as_str());
        return Err(Error::usage(format!(
            "credentials are for one endpoint, and those are several; name a bucket: {}",
            names.collect::<Vec<_>>().join(", ")
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
            "accessKeyId": key,
            "secretAccessKey": secret,
            "sessionToken": token,
            "expiration": expiration,
            "region": region,
        })),
        // https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sourcing-external.html
        Format::Process => output::json(&json!({
            "Version": 1,
            "AccessKeyId": key,
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": expiration,
        })),
        Format::Env | Format::AwsProfile => {
            let variables = [
                ("AWS_ACCESS_KEY_ID", key),
                ("AWS_SECRET_ACCESS_KEY", secret),
                ("AWS_SESSION_TOKEN", token),
                ("AWS_REGION", region),
                ("AWS_DEFAULT_REGION", region),
            ];
            // None of them holds a quote; if one did, the shell must not run what follows it.
            Ok(variables
                .iter()
                .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
                .collect())
        }
    }
}

/// A section of ~/.aws/config. Whatever uses the profile may run without the variables that are set
/// now, so the command names what they say.
fn profile(connection: &Connection, earthdata: &EarthdataArgs) -> Result<String, Error> {
    let program = std::env::current_exe().map_err(|e| {
        Error::store(Problem::new("cannot find the path of granulefs itself").caused_by(e))
    })?;
    let program = program.display().to_string();
    let endpoint = connection.login_endpoint()?;
    let bucket = &connection.location.bucket;
    let source = format!("s3://{bucket}/");
    let mut words = vec![
        &*program,
        "credentials",
        &source,
        "--format",
        "process",
        "--credentials-endpoint",
        endpoint,
        "--earthdata-host",
        &earthdata.earthdata_host,
    ];
    let token_file = earthdata
        .token_file()
        .map(std::path::absolute)
        .transpose()
        .map_err(|e| Error::usage(Problem::new("cannot find the token file").caused_by(e)))?;
    let token_file = token_file.map(|path| path.display().to_string());
    if let Some(path) = &token_file {
        words.extend(["--token-file", path]);
    }
    let command = words.into_iter().map(quoted).collect::<Vec<_>>().join(" ");
    let (name, region) = (format!("earthdata-{bucket}"), &connection.region);
    Ok(format!(
        "# For ~/.aws/config; then: aws --profile {name} s3 ls {source}\n\
         [profile {name}]\nregion = {region}\ncredential_process = {command}\n"
    ))
}

/// A word of a credential_process. The AWS tools split it as a shell does, and some of them run it
/// with one.
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
            "export AWS_ACCESS_KEY_ID='ASIA1'\nexport AWS_SECRET_ACCESS_KEY='se'\\''cret'\n\
             export AWS_SESSION_TOKEN='tok/en+='\nexport AWS_REGION='us-west-2'\n\
             export AWS_DEFAULT_REGION='us-west-2'\n"
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
