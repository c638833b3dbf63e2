internal import GRDB

/// Columns are read with `try`. GRDB's own subscripts end the process when a value isn't of the type that is asked for,
/// which on a damaged page is nobody's mistake: these take their place everywhere in this module, so that no reading can
/// be forgotten, and what can't be read becomes `StoreError.corrupt` (`StoreError.init(_:)`).
extension Row {
    subscript<Value: DatabaseValueConvertible>(_ columnName: String) -> Value {
        get throws { try decode(Value.self, forColumn: columnName) }
    }

    subscript<Value: DatabaseValueConvertible & StatementColumnConvertible>(_ columnName: String) -> Value {
        get throws { try decode(Value.self, forColumn: columnName) }
    }
}
