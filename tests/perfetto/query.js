// SPDX-License-Identifier: Apache-2.0
// Asks Perfetto's trace_processor about a trace: node query.js DIRECTORY TRACE SQL
//
// DIRECTORY has Perfetto's UI as it is built for a browser, where trace_processor is WebAssembly that runs
// in a worker. Here this script is the worker, and speaks with it as the UI does: in messages of
// trace_processor.proto, whose field numbers are named below. Prints a row of the answer a line, as JSON.
'use strict';

const fs = require('fs');
const path = require('path');

// TraceProcessorRpc.TraceProcessorMethod
const APPEND_TRACE_DATA = 1;
const FINALIZE_TRACE_DATA = 2;
const QUERY_STREAMING = 3;

// Fields of TraceProcessorRpc, and of what is in it.
const REQUEST = 2;
const FATAL_ERROR = 5;
const APPEND_DATA = 101;
const QUERY_ARGS = 103;
const APPEND_RESULT = 201;
const QUERY_RESULT = 203;
const ERROR = 2; // of both results
const COLUMN_NAMES = 1;
const BATCH = 3;
const CELLS = 1;
const VARINT_CELLS = 2;
const FLOAT64_CELLS = 3;
const STRING_CELLS = 5;
const IS_LAST_BATCH = 6;

// CellsBatch.CellType
const NULL = 1;
const VARINT = 2;
const FLOAT64 = 3;
const STRING = 4;

function varint(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Buffer.from([...bytes, value]);
}

function numberField(field, value) {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function bytesField(field, bytes) {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

// Reads varints of 64 bits, signed, one after the other.
function* varints(bytes) {
  for (let at = 0; at < bytes.length; ) {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    yield [Number(BigInt.asIntN(64, value)), at];
  }
}

// A message's fields, each with all its values: numbers, or bytes.
function decode(bytes) {
  const fields = new Map();
  for (let at = 0; at < bytes.length; ) {
    const take = () => {
      const [value, length] = varints(bytes.subarray(at)).next().value;
      at += length;
      return value;
    };
    const tag = take();
    let value;
    if (tag % 8 === 0) {
      value = take();
    } else if (tag % 8 === 1) {
      value = bytes.subarray(at, (at += 8));
    } else if (tag % 8 === 2) {
      const length = take();
      value = bytes.subarray(at, (at += length));
    } else {
      throw new Error(`no such field: ${tag}`);
    }
    const field = Math.floor(tag / 8);
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

function text(bytes) {
  return Buffer.from(bytes).toString('utf8');
}

// The rows of a batch, which come as columns by type.
function rows(batch, names) {
  const concat = (field) => Buffer.concat(batch.get(field) ?? []);
  const numbers = [...varints(concat(VARINT_CELLS))].map(([value]) => value);
  const floats = concat(FLOAT64_CELLS);
  const strings = text(concat(STRING_CELLS)).split('\0');
  let float = 0;
  const cells = [...varints(concat(CELLS))].map(([type]) => {
    switch (type) {
      case NULL: return null;
      case VARINT: return numbers.shift();
      case FLOAT64: return floats.readDoubleLE(8 * float++);
      case STRING: return strings.shift();
      default: throw new Error(`no such cell: ${type}`);
    }
  });
  const rows = [];
  while (cells.length > 0) {
    rows.push(Object.fromEntries(names.map((name) => [name, cells.shift()])));
  }
  return rows;
}

// Starts the bundle with what it expects of a browser's worker, and without what is only node's.
function startWorker(directory) {
  const read = (name) => fs.readFileSync(path.join(directory, path.basename(name)));
  const self = { location: { href: 'file:///engine_bundle.js' } };
  const globals = {
    self,
    process: undefined,
    console: { ...console, log: () => {}, warn: () => {} },
    WorkerGlobalScope: class {},
    XMLHttpRequest: class {
      open(_method, url) {
        this.url = url;
      }
      send() {
        this.response = read(this.url);
      }
    },
  };
  const bundle = new Function(...Object.keys(globals), read('engine_bundle.js').toString());
  bundle(...Object.values(globals));
  return self;
}

function main([directory, trace, sql]) {
  const worker = startWorker(directory);
  const port = { postMessage: (bytes) => receive(decode(Buffer.from(bytes))) };
  worker.onmessage({ data: port });
  const send = (method, ...fields) => {
    const message = Buffer.concat([numberField(REQUEST, method), ...fields]);
    port.onmessage({ data: bytesField(1, message) });
  };
  let names = [];
  const fail = (error) => {
    console.error(text(error));
    process.exit(1);
  };
  const receive = (stream) => {
    for (const message of stream.get(1).map(decode)) {
      message.get(FATAL_ERROR)?.forEach(fail);
      message.get(APPEND_RESULT)?.forEach((it) => decode(it).get(ERROR)?.forEach(fail));
      for (const result of (message.get(QUERY_RESULT) ?? []).map(decode)) {
        result.get(ERROR)?.forEach(fail);
        names = result.get(COLUMN_NAMES)?.map(text) ?? names;
        for (const batch of (result.get(BATCH) ?? []).map(decode)) {
          rows(batch, names).forEach((row) => console.log(JSON.stringify(row)));
          if (batch.has(IS_LAST_BATCH)) process.exit(0);
        }
      }
    }
  };
  const begin = () => {
    send(APPEND_TRACE_DATA, bytesField(APPEND_DATA, fs.readFileSync(trace)));
    send(FINALIZE_TRACE_DATA);
    send(QUERY_STREAMING, bytesField(QUERY_ARGS, bytesField(1, Buffer.from(sql))));
  };
  // The module is ready when it has been compiled.
  setTimeout(begin, 0);
}

main(process.argv.slice(2));
