// What the reader behind VS Code's view of heap snapshots makes of a file: totals by class, as JSON.
'use strict';
const fs = require('fs');
const parser = require('@vscode/v8-heap-parser');

parser.init_panic_hook();
const graph = parser.decode_bytes(fs.readFileSync(process.argv[2]));
const said = {self_size: 0, nodes: 0, classes: {}};
for (const group of graph.get_class_groups(0, 0xffffffff, false)) {
  const [self, retained] = [Number(group.self_size), Number(group.retained_size)];
  said.self_size += self;
  said.nodes += group.children_len;
  said.classes[group.name()] = {self_size: self, retained_size: retained, count: group.children_len};
}
process.stdout.write(JSON.stringify(said) + '\n');
