import Testing
import Uplink

private let here = "https://ess.example/files/1"

private func answer(
    _ status: Int, offset: Int? = nil, length: Int? = nil, location: String? = nil, elapsed: Duration = .seconds(5),
    refusal: UplinkError? = nil
) -> Upload.Event {
    .answered(
        Upload.Answer(
            status: status, offset: offset, length: length, location: location, elapsed: elapsed, refusal: refusal))
}

private let limits = Upload.Limits(firstChunk: 100, leastChunk: 25, mostChunk: 400)

private func upload(_ size: Int, location: String? = nil, checksums: Bool = false) -> Upload {
    Upload(size: size, location: location, checksums: checksums, limits: limits)
}

struct StateMachineTests {
    @Test func aWholeUpload() {
        var upload = upload(250)
        #expect(upload.start() == [.create])
        #expect(
            upload.handle(answer(201, location: here)) == [
                .remember(location: here), .append(location: here, offset: 0, count: 100, checksum: false),
            ])
        #expect(
            upload.handle(answer(204, offset: 100)) == [
                .confirm(offset: 100), .append(location: here, offset: 100, count: 100, checksum: false),
            ])
        #expect(
            upload.handle(answer(204, offset: 200)) == [
                .confirm(offset: 200), .append(location: here, offset: 200, count: 50, checksum: false),
            ])
        #expect(upload.handle(answer(204, offset: 250)) == [.confirm(offset: 250), .finish])
        #expect(upload.handle(answer(204, offset: 250)).isEmpty)
    }

    @Test func resumingAsksFirst() {
        var upload = upload(250, location: here, checksums: true)
        #expect(upload.start() == [.ask(location: here)])
        #expect(upload.start().isEmpty)
        #expect(
            upload.handle(answer(200, offset: 240, length: 250)) == [
                .confirm(offset: 240), .append(location: here, offset: 240, count: 10, checksum: true),
            ])
    }

    @Test func allThereAlready() {
        var upload = upload(250, location: here)
        _ = upload.start()
        #expect(upload.handle(answer(204, offset: 250)) == [.confirm(offset: 250), .finish])
    }

    @Test func anEmptyDocument() {
        var upload = upload(0)
        _ = upload.start()
        #expect(upload.handle(answer(201, location: here)) == [.remember(location: here), .ask(location: here)])
        #expect(upload.handle(answer(200, offset: 0, length: 0)) == [.confirm(offset: 0), .finish])
    }

    @Test func theServerKnowsTheRecording() {
        // sync.md 4.2, U1: 200 or 201 with the existing Location.
        for event in [answer(200, location: here), answer(201, offset: 70, location: here)] {
            var upload = upload(250)
            _ = upload.start()
            #expect(upload.handle(event) == [.remember(location: here), .ask(location: here)])
        }
    }

    @Test func creationWithoutALocation() {
        var upload = upload(10)
        _ = upload.start()
        #expect(upload.handle(answer(201)) == [.stop(.malformed("an upload without a Location"))])
    }

    @Test func refusedCreation() {
        let refusals: [(Int, UplinkError)] = [
            (409, .conflict(status: 409, "other")), (413, .permanent(status: 413, "big")),
            (507, .serverFull(retryAfter: nil)), (401, .unauthorised), (403, .forbidden("x")), (426, .version("2")),
            (302, .captivePortal("x")),
        ]
        for (status, error) in refusals {
            var upload = upload(10)
            _ = upload.start()
            #expect(upload.handle(answer(status, refusal: error)) == [.stop(error)])
        }
    }

    @Test(arguments: [409, 415, 460])
    func afterARefusedChunkItAsks(status: Int) {
        var upload = upload(250, location: here)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        // A wrong Content-Type answered 415 and had appended the body (sync.md 1.2.2): only HEAD tells.
        #expect(upload.handle(answer(status)) == [.ask(location: here)])
        #expect(
            upload.handle(answer(200, offset: 60)) == [
                .confirm(offset: 60), .append(location: here, offset: 60, count: 100, checksum: false),
            ])
    }

    @Test func aChunkThatIsAlwaysRefusedEnds() {
        var upload = upload(250, location: here)
        _ = upload.start()
        for _ in 0..<2 {
            _ = upload.handle(answer(200, offset: 0))
            #expect(upload.handle(answer(460)) == [.ask(location: here)])
        }
        _ = upload.handle(answer(200, offset: 0))
        #expect(upload.handle(answer(460)) == [.stop(.permanent(status: 460, "a chunk was refused"))])
    }

    @Test func progressForgivesStrikes() {
        var upload = upload(1000, location: here)
        _ = upload.start()
        for round in 0..<20 {
            _ = upload.handle(answer(200, offset: round * 10 + 1))
            #expect(upload.handle(.failed(.link("cut"))) == [.ask(location: here)])
        }
    }

    /// 409 to each chunk, and an offset that goes to and fro: no byte is new.
    @Test func anOffsetThatGoesToAndFroIsNoProgress() {
        var upload = upload(1000, location: here)
        var actions = upload.start()
        var chunks = 0
        while chunks < 100, actions.last == .ask(location: here) {
            actions = upload.handle(answer(200, offset: chunks % 2 == 0 ? 50 : 0))
            guard case .append = actions.last else { break }
            chunks += 1
            actions = upload.handle(answer(409))
        }
        #expect(chunks == 3)
        #expect(actions == [.stop(.permanent(status: 409, "a chunk was refused"))])
    }

    /// The server clears a complete upload away, and its last answer was lost: only the receipt tells.
    @Test(arguments: [404, 410])
    func aCompleteUploadThatIsGoneIsNotMadeAnewAtOnce(status: Int) {
        var lost = upload(250, location: here)
        _ = lost.start()
        _ = lost.handle(answer(200, offset: 200))
        #expect(lost.handle(.failed(.link("lost"))) == [.ask(location: here)])
        #expect(lost.handle(answer(status)) == [.stop(.transient(status: 404, retryAfter: .zero))])
        var early = upload(250, location: here)
        _ = early.start()
        _ = early.handle(answer(200, offset: 0))
        #expect(early.handle(.failed(.link("lost"))) == [.ask(location: here)])
        #expect(early.handle(answer(status)) == [.create])
    }

    @Test func aLostAnswerAsks() {
        var upload = upload(250, location: here)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        #expect(upload.handle(.failed(.link("lost"))) == [.ask(location: here)])
        // The bytes had arrived.
        #expect(
            upload.handle(answer(200, offset: 100)).first == .confirm(offset: 100))
    }

    @Test func aLinkThatIsGoneEndsIt() {
        var asking = upload(250, location: here)
        _ = asking.start()
        #expect(asking.handle(.failed(.link("gone"))) == [.stop(.link("gone"))])
        var creating = upload(250)
        _ = creating.start()
        #expect(creating.handle(.failed(.link("gone"))) == [.stop(.link("gone"))])
        #expect(creating.handle(answer(201, location: here)).isEmpty)
    }

    @Test(arguments: [UplinkError.cancelled, .tls("x"), .captivePortal("x"), .certificateRefused("x"), .local("x")])
    func otherFailuresEndIt(error: UplinkError) {
        var upload = upload(250, location: here)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        #expect(upload.handle(.failed(error)) == [.stop(error)])
    }

    @Test(arguments: [404, 410])
    func aForgottenUploadIsMadeAnew(status: Int) {
        var upload = upload(250, location: here)
        _ = upload.start()
        #expect(upload.handle(answer(status)) == [.create])
        let there = "https://ess.example/files/2"
        #expect(
            upload.handle(answer(201, location: there)) == [
                .remember(location: there), .append(location: there, offset: 0, count: 100, checksum: false),
            ])
        #expect(upload.handle(answer(status)) == [.create])
    }

    @Test func aForgetfulServerEndsIt() {
        var upload = upload(1000, location: here)
        _ = upload.start()
        var last = upload.handle(answer(404))
        for _ in 0..<3 {
            #expect(last == [.create])
            _ = upload.handle(answer(201, location: here))
            _ = upload.handle(answer(204, offset: 100))
            last = upload.handle(answer(404))
        }
        #expect(last == [.stop(.malformed("the server forgets the upload again and again"))])
    }

    @Test func anOffsetOfAnotherUploadIsNotBelieved() {
        for event in [answer(200, offset: 251), answer(200, offset: -1), answer(200, offset: 10, length: 251)] {
            var upload = upload(250, location: here)
            _ = upload.start()
            #expect(upload.handle(event) == [.create])
        }
        var blind = upload(250, location: here)
        _ = blind.start()
        #expect(blind.handle(answer(200)) == [.ask(location: here)])
    }

    @Test func anOffsetThatDoesNotFollowIsAskedAbout() {
        for offset in [nil, 0, 101, 250, -5] as [Int?] {
            var upload = upload(250, location: here)
            _ = upload.start()
            _ = upload.handle(answer(200, offset: 0))
            #expect(upload.handle(answer(204, offset: offset)) == [.ask(location: here)])
        }
    }

    @Test func lessThanWasSentIsTaken() {
        var upload = upload(250, location: here)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        #expect(
            upload.handle(answer(204, offset: 30)) == [
                .confirm(offset: 30), .append(location: here, offset: 30, count: 100, checksum: false),
            ])
    }

    @Test func chunksGrowWhileItIsFast() {
        var upload = upload(10_000, location: here)
        _ = upload.start()
        var next = upload.handle(answer(200, offset: 0)).last
        var counts: [Int] = []
        for _ in 0..<5 {
            guard case .append(_, let offset, let count, _) = next else { break }
            counts.append(count)
            next = upload.handle(answer(204, offset: offset + count, elapsed: .milliseconds(100))).last
        }
        #expect(counts == [100, 200, 400, 400, 400])
        // Slow again.
        counts = []
        for _ in 0..<6 {
            guard case .append(_, let offset, let count, _) = next else { break }
            counts.append(count)
            next = upload.handle(answer(204, offset: offset + count, elapsed: .seconds(11))).last
        }
        #expect(counts == [400, 200, 100, 50, 25, 25])
    }

    @Test func aChunkTooLargeIsCutDown() {
        var upload = upload(250, location: here)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        #expect(upload.handle(answer(413)) == [.ask(location: here)])
        #expect(
            upload.handle(answer(200, offset: 0)).last == .append(location: here, offset: 0, count: 50, checksum: false)
        )
        #expect(upload.handle(answer(413)) == [.ask(location: here)])
        #expect(
            upload.handle(answer(200, offset: 0)).last == .append(location: here, offset: 0, count: 25, checksum: false)
        )
        #expect(upload.handle(answer(413)) == [.stop(.permanent(status: 413, "a chunk is too large"))])
    }

    @Test func anUnknownAlgorithmIsLeftOut() {
        var upload = upload(250, location: here, checksums: true)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        #expect(upload.handle(answer(400, refusal: .permanent(status: 400, ""))) == [.ask(location: here)])
        #expect(
            upload.handle(answer(200, offset: 0)).last
                == .append(location: here, offset: 0, count: 100, checksum: false))
        #expect(
            upload.handle(answer(400, refusal: .permanent(status: 400, "no"))) == [.stop(.permanent(status: 400, "no"))]
        )
    }

    @Test(
        arguments: [
            // What the server asks for holds for a lock; half a minute without that, a second where our own connection broke.
            (423, nil, false, 30), (423, 5, false, 5), (423, 90, false, 90), (423, nil, true, 1), (423, 5, true, 5),
            (503, nil, false, 30), (503, 5, true, 30), (503, 90, false, 90),
        ] as [(Int, Int?, Bool, Int)])
    func locksAreGivenTheirTime(status: Int, given: Int?, wasCut: Bool, expected: Int) {
        let refusal = UplinkError.transient(status: status, retryAfter: given.map { .seconds($0) })
        let stop = [Upload.Action.stop(.transient(status: status, retryAfter: .seconds(expected)))]
        var upload = upload(250, location: here)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        if wasCut {
            #expect(upload.handle(.failed(.link("cut"))) == [.ask(location: here)])
        }
        #expect(upload.handle(answer(status, refusal: refusal)) == stop)
        // The same in a later attempt that was told of it.
        var later = Upload(size: 250, location: here, checksums: false, mayBeLocked: wasCut)
        _ = later.start()
        #expect(later.handle(answer(status, refusal: refusal)) == stop)
    }

    /// libcurl sends again by itself what a kept connection broke under: a cut like any other.
    @Test func aChunkThatWasSentTwiceIsACut() {
        var upload = upload(1000, location: here)
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        let twice = Upload.Event.answered(
            Upload.Answer(status: 204, offset: 100, elapsed: .milliseconds(1), wasRepeated: true))
        #expect(upload.handle(twice).last == .append(location: here, offset: 100, count: 50, checksum: false))
    }

    @Test func aProxyThatTakesNoLargerChunkIsBelievedOnce() {
        var upload = Upload(
            size: 1 << 20, location: here, checksums: false, limits: .init(firstChunk: 256 << 10, leastChunk: 16 << 10))
        _ = upload.start()
        _ = upload.handle(answer(200, offset: 0))
        var offset = 0
        var refused = 0
        var sent = 256 << 10
        while offset < 1 << 20 {
            if sent > 100_000 {
                refused += 1
                _ = upload.handle(answer(413, refusal: .permanent(status: 413, "")))
                guard case .append(_, _, let count, _) = upload.handle(answer(200, offset: offset)).last else {
                    Issue.record("must go on")
                    return
                }
                sent = count
                continue
            }
            offset += sent
            guard case .append(_, _, let count, _) = upload.handle(answer(204, offset: offset)).last else { break }
            sent = count
        }
        #expect(offset == 1 << 20)
        #expect(refused == 2)
    }

    /// Whatever the server says, the machine ends, never sends outside of the document, and never finishes early.
    @Test func randomServersAreSurvived() {
        var random = SplitMix(state: 7)
        for _ in 0..<2000 {
            let size = Int(random.next() % 1000)
            var upload = upload(size, location: random.next() % 2 == 0 ? here : nil, checksums: random.next() % 2 == 0)
            var actions = upload.start()
            var told = -1
            var steps = 0
            run: while steps < 10_000 {
                steps += 1
                var asked = false
                for action in actions {
                    switch action {
                    case .append(_, let offset, let count, _):
                        #expect(offset >= 0 && count > 0 && offset + count <= size)
                        asked = true
                    case .create, .ask: asked = true
                    case .confirm(let offset): #expect(offset == told)
                    case .finish:
                        #expect(told == size)
                        break run
                    case .stop: break run
                    case .remember: break
                    }
                }
                #expect(asked)
                let statuses = [200, 201, 204, 204, 204, 409, 460, 404, 500]
                let status = statuses[Int(random.next() % UInt64(statuses.count))]
                told = Int(random.next() % 1100) - 20
                actions =
                    random.next() % 8 == 0
                    ? upload.handle(.failed(.link("x")))
                    : upload.handle(
                        answer(
                            status, offset: told, location: here,
                            refusal: status < 300 ? nil : .transient(status: status, retryAfter: nil)))
            }
            #expect(steps < 10_000)
        }
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
