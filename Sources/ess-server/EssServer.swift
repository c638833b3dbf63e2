import ArgumentParser

/// # ess-server: the small, honest reference server of an *équipe de soins spécialisés*
///
/// What a field agent needs from its ESS server, and nothing else: a worklist, a place for facts, a place for bytes,
/// and receipts that are true. It speaks standards only (HL7 FHIR R4 REST, tus 1.0.0, TLS with client certificates), so
/// it can be replaced by a region's own server; it is what tests and first runs talk to.
///
/// ```
/// ess-server init  --directory DIR [--host NAME]…      authority, server certificate, store; keeps what is there
/// ess-server enrol --directory DIR --name laptop-1 --output DIR2     one laptop's certificate
/// ess-server seed  --directory DIR [--file BUNDLE.json]              a worklist (built-in: a fictional day)
/// ess-server serve --directory DIR [--port 8443] [--address 127.0.0.1] [--port-file FILE]
/// ess-server list  --directory DIR [--json]            what is stored, hashed again from the disk
/// ess-server restored --directory DIR                  after a backup was put back: agents check their receipts again
/// ess-server run   --directory DIR                     init + seed + serve
/// ```
///
/// Lanes (the contract is version 1.0):
///
/// | lane | calls |
/// |---|---|
/// | discovery | `GET /.well-known/ess-agent`, `GET /fhir/metadata`, `GET /ess/v1/ping` |
/// | worklist | `GET /fhir/Task?owner=…&status=…&_lastUpdated=ge…&_include=Task:focus&_include=Task:patient&_count=…` |
/// | facts | `PUT /fhir/{Type}/{id}`, `POST /fhir/{Type}`, `POST /fhir` (transaction or batch), with `If-Match`, `If-None-Exist`, `Idempotency-Key` |
/// | bytes | tus 1.0.0 under `/files` (creation, creation-with-upload, checksum, termination) |
/// | receipts | `GET /ess/v1/recordings/{rid}/receipt` |
///
/// What it promises:
/// - A receipt is given for bytes that were written, synchronised, read back from the disk, hashed, found equal to what
///   was announced, renamed to `DIR/recordings/{rid}` and committed; not before. `kill -9` at any moment changes nothing
///   about that: the next start repairs what was under way before it listens.
/// - A transaction Bundle is stored whole or not at all. The same `Idempotency-Key` gives the same answer.
/// - Nothing is served to a peer without a certificate of this server's own authority.
/// - Logs carry method, route template, status and request id. No identity, no query, no body.
///
/// What it does not do: OAuth, DICOMweb, users, deletion of FHIR resources, replication, FHIR terminology.
@main
struct EssServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ess-server",
        abstract: "A small, honest reference ESS server: FHIR R4, tus 1.0.0, receipts, client certificates.",
        subcommands: [Init.self, Enrol.self, Invite.self, Seed.self, Serve.self, List.self, Restored.self, Run.self])
}

/// A failure that ends a command, worded for the person at the terminal.
struct Trouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
