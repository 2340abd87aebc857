// Package oracle computes answers from raw records in plain Go: encoding/json, maps, loops. It shares no code with the
// product and takes nothing from it, so that an error of the product is not repeated here. It is slow on purpose.
//
// Its input is a ledger: every record that a broker acknowledged, with its position. Its answers are those of the
// promise: of the records below a cut, each identity (key within a time chunk) counts once, with the content of its
// lowest position; records without a key each count; records that cannot be read are rejected and counted apart.
package oracle
