//! What is a secret by its form or its name, and what only looks like one.

use super::*;

fn kinds(text: &str) -> Vec<(Kind, Confidence, String)> {
    let mut all = Vec::new();
    scan(text.as_bytes(), None, |m| all.push((m.kind, m.confidence, text[m.start..m.end].to_owned())));
    all
}

fn only(text: &str) -> (Kind, Confidence, String) {
    let mut all = kinds(text);
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0)
}

#[test]
fn tokens_of_services_by_their_prefix() {
    let body = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
    for (text, service) in [
        ("key AKIAIOSFODNN7EXAMPLQ.".to_owned(), "AWS"),
        (format!("ghp_{}", &body[..36]), "GitHub"),
        (format!("github_pat_{body}"), "GitHub"),
        (format!("\"glpat-{}\"", &body[..20]), "GitLab"),
        ("xoxb-123456789012-a1B2c3D4e5F6g7H8".to_owned(), "Slack"),
        (format!("?key=AIza{}", &body[..35]), "Google"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc".to_owned(), "Stripe"),
    ] {
        let (kind, confidence, found) = only(&text);
        assert_eq!((kind, confidence), (Kind::ServiceToken(service), Confidence::Certain), "{text}");
        assert!(found.len() >= 20 && !found.contains(['"', ' ']), "{found}");
    }
    for text in [
        "AKIAIOSFODNN7",
        "xAKIAIOSFODNN7EXAMPLQ",
        "AKIAIOSFODNN7EXAMPLQX",
        "ghp_short",
        "sk_live_",
        "SG.x",
        "AIzaNope",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn web_tokens_and_headers() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    assert_eq!(only(&format!("x={jwt};")), (Kind::WebToken, Confidence::Certain, jwt.to_owned()));
    assert_eq!(only("Authorization: Basic dXNlcjpodW50ZXIy").2, "dXNlcjpodW50ZXIy");
    assert_eq!(only("bearer 9f31c0deab12d00d4711").0, Kind::Authorization);
    for text in [
        "Basic Constraints",
        "Bearer of bad news indeed",
        "basic authentication",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJust.a.word",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn private_keys_with_a_body() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    for text in [
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"),
        format!("-----BEGIN RSA PRIVATE KEY-----\\n{body}\\n-----END RSA PRIVATE KEY-----"),
    ] {
        let (kind, confidence, found) = only(&text);
        assert_eq!((kind, confidence), (Kind::PrivateKey, Confidence::Certain));
        assert!(found.contains(body) && !found.contains("-----"));
    }
    assert_eq!(kinds("-----BEGIN PRIVATE KEY-----"), []);
    assert_eq!(kinds(&format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----")), []);
}

#[test]
fn passwords_in_addresses_and_assignments() {
    assert_eq!(only("jdbc:postgresql://app:hunter2@db:5432/x").2, "hunter2");
    assert_eq!(only("mongodb+srv://u:p%40ss1@cluster0.example/db").2, "p%40ss1");
    assert_eq!(only("amqp://:s3cret@host"), (Kind::PasswordInUrl, Confidence::Certain, "s3cret".to_owned()));
    assert_eq!(
        only("Server=x;Password=hunter2;Port=1"),
        (Kind::Assignment, Confidence::Likely, "hunter2".to_owned())
    );
    assert_eq!(only("/login?user=a&access_token=9f31c0deab12d00d4711&x=1").2, "9f31c0deab12d00d4711");
    assert_eq!(only("-Djavax.net.ssl.keyStorePassword=hunter22").2, "hunter22");
    for text in [
        "http://localhost:8080/x@y",
        "http://user:${PW}@host",
        "http://[::1]:80/",
        "password=",
        "password=${x}",
        "a==b",
        "tokenCount=9f31c0deab12d00d4711",
        "://",
        "javax.net.ssl.trustStorePassword=javax.net.ssl.none",
        "pin=12",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn card_numbers_and_longer_numbers() {
    assert_eq!(
        only("card 4111 1111 1111 1111, thanks"),
        (Kind::CardNumber, Confidence::Likely, "4111 1111 1111 1111".into())
    );
    assert_eq!(only("4111111111111111").1, Confidence::Possible);
    assert_eq!(only("?cardNumber=4111111111111111").0, Kind::CardNumber);
    assert_eq!(only("{\"card\":\"4111111111111111\"}").0, Kind::CardNumber);
    for text in [
        "/orders/4111111111111111",
        "?trace=4111111111111111",
        "14111111111111111",
        "0.4111111111111111",
        "id-4111111111111111",
        "x4111111111111111",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn context_makes_a_secret_of_a_word() {
    let mut scanner = Scanner::default();
    scanner.scan(b"hunter2-not-real", Some("db.password"), "Config.password");
    scanner.scan(b"hunter3-not-real", Some("db.password"), "Config.password");
    scanner.scan(b"hunter2-not-real", Some("name"), "Config.name");
    scanner.scan(b"hunter2-not-real", None, "String");
    scanner.scan(b"https://u:hunter2-not-real@h", Some("password"), "Config.url");
    let findings = scanner.findings();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert_eq!((findings[0].kind, findings[0].place.as_str()), (Kind::PasswordInUrl, "Config.url"));
    assert_eq!((findings[1].kind, findings[1].count), (Kind::Named, 2));
    assert_eq!(findings[1].example, "hu...al (16 characters)");
}

#[test]
fn examples_show_four_characters_at_most() {
    assert_eq!(masked(b"hunter2"), "... (7 characters)");
    assert_eq!(masked(b"hunter2hunte"), "hu...te (12 characters)");
    assert_eq!(masked("päßwörtchen".as_bytes()), "p?...en (14 characters)");
}

#[test]
fn places_are_bounded() {
    let mut scanner = Scanner::default();
    for i in 0..PLACES + 10 {
        scanner.scan(b"hunter2-not-real", Some("password"), &format!("C{i}.password"));
    }
    assert_eq!(scanner.lost(), 10);
    assert_eq!(scanner.findings().len(), PLACES);
}

#[test]
fn nothing_in_ordinary_texts() {
    for text in [
        "/orders/123?trace=ab12&page=3",
        "java.util.concurrent.ConcurrentHashMap",
        "2024-01-15T10:00:00.123456Z",
        "The quick brown fox jumps over the lazy dog",
        "sun.security.provider.certpath.Builder",
        "key=value",
        "\u{fffd}x",
        "http://www.w3.org/2001/XMLSchema",
        "Ljava/lang/Object;",
        "550e8400-e29b-41d4-a716-446655440000",
        "",
        "e",
        "-----",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}
