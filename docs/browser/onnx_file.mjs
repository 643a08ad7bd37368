/** The little of ONNX files that the build needs, by the field numbers of onnx.proto. */

import { PbfReader, PbfWriter } from "pbf";

const MODEL_GRAPH = 7;
const MODEL_METADATA = 14;
const GRAPH_INPUT = 11;
const GRAPH_OUTPUT = 12;
const GRAPH_VALUE_INFO = 13;
const VALUE_TYPE = 2;
const TENSOR_TYPE = 1;
const SHAPE = 2;
const DIMENSION = 1;
const DIMENSION_NAME = 2;
// Wire types: whole numbers, and what holds other fields.
const VARINT = 0;
const BYTES = 2;

/**
 * A file's metadata.
 *
 * @param {Uint8Array} model
 * @returns {Object<string, string>}
 */
export function metadata(model) {
  const reader = new PbfReader(model);
  const found = {};
  for (let field; (field = reader.nextField()); ) {
    if (field !== MODEL_METADATA || reader.type !== BYTES) continue;
    const entry = new PbfReader(reader.readBytes());
    const pair = ["", ""]; // its fields 1 and 2
    for (let part; (part = entry.nextField()); ) pair[part - 1] = entry.readString();
    found[pair[0]] = pair[1];
  }
  return found;
}

/**
 * The same network for pictures of any size: the sizes in its file are those of one.
 *
 * @param {Uint8Array} model - one whose layers do not depend on the size, such as YuNet
 * @returns {Uint8Array}
 */
export function anySize(model) {
  return rewritten(model, (field, graph) =>
    field === MODEL_GRAPH ? rewritten(graph, withoutSizes) : graph,
  );
}

function withoutSizes(field, part) {
  if (field === GRAPH_VALUE_INFO) return null; // sizes of what lies in between
  if (field === GRAPH_OUTPUT) return replaced(part, [VALUE_TYPE, TENSOR_TYPE, SHAPE], () => null);
  if (field !== GRAPH_INPUT) return part;
  let dimension = 0;
  return replaced(part, [VALUE_TYPE, TENSOR_TYPE, SHAPE, DIMENSION], () => {
    const named = new PbfWriter();
    named.writeStringField(DIMENSION_NAME, `dimension_${dimension++}`);
    return named.finish();
  });
}

/** A message with new bytes for each field on a path of field numbers. */
function replaced(bytes, [wanted, ...inner], make) {
  return rewritten(bytes, (field, part) => {
    if (field !== wanted) return part;
    return inner.length ? replaced(part, inner, make) : make();
  });
}

/** A message with `change(field, bytes)` for each field that holds others; null drops it. */
function rewritten(bytes, change) {
  const reader = new PbfReader(bytes);
  const writer = new PbfWriter();
  for (let field; (field = reader.nextField()); ) {
    if (reader.type === BYTES) {
      const part = change(field, reader.readBytes());
      if (part) writer.writeBytesField(field, part);
    } else if (reader.type === VARINT) {
      writer.writeVarintField(field, reader.readVarint());
    } else {
      throw new Error(`field ${field} has the type ${reader.type}: only its neighbors are known`);
    }
  }
  return writer.finish();
}
