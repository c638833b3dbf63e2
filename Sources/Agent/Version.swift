/// The agent's semantic version; `CHANGELOG.md` says what it holds.
public let agentVersion = "0.1.0"
