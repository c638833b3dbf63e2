import Clinical
import Devices
import Ports

/// What screens and the command line see of the devices.
extension DeviceHub {
    public func views() async -> [DeviceView] {
        var views: [DeviceView] = []
        for entry in plugged.values.sorted(by: { $0.candidate.devnode < $1.candidate.devnode }) {
            let profile = entry.profile ?? register.probed(entry.candidate).first
            var session: SessionView?
            if let running = entry.session { session = await view(of: running) }
            views.append(
                DeviceView(
                    name: entry.candidate.name, port: entry.candidate.devnode, driver: profile?.name ?? "",
                    state: name(of: entry), title: entry.profile?.title ?? "", vendor: entry.identity?.vendor,
                    model: entry.identity?.model, serial: entry.identity?.serial,
                    simulated: entry.identity?.isSimulated ?? false,
                    support: (entry.identity?.support ?? profile?.support ?? .experimental).rawValue,
                    abilities: (entry.profile?.goals ?? []).map(\.rawValue).sorted(),
                    choices: entry.state == .notRecognised && entry.candidate.profile == nil
                        ? register.possible(at: entry.candidate).map(\.name) : [],
                    chosen: register.choice(for: entry.candidate) != nil && entry.candidate.profile == nil,
                    session: session))
        }
        return views
    }

    private func name(of entry: Plugged) -> String {
        if isCapturing(entry) {
            return switch entry.session?.goal {
            case "live": "capturing"
            case "erase": "erasing"
            default: "downloading"
            }
        }
        return switch entry.state {
        case .probing: "probing"
        case .ready: "ready"
        case .notRecognised: "not-recognised"
        case .busy: "busy"
        case .denied: "denied"
        }
    }

    func view(of session: Session) async -> SessionView {
        let progress = await session.recorder.progress
        return SessionView(
            id: session.id, goal: session.goal, running: session.outcome == nil,
            recordings: progress.map {
                SessionView.RecordingProgress(
                    recording: "\($0.id)", samples: $0.samples, expected: $0.expected, bytes: $0.bytes,
                    state: $0.state.rawValue)
            },
            skipped: await session.recorder.skipped, problem: session.outcome?.problem)
    }
}
