//! The graph as `GraphML`, as spigo writes it, for yEd and everything else that reads it.
//!
//! Two things are better than there: the key of the service is declared, without which strict readers refuse the file, and
//! nodes have a label, without which yEd shows empty boxes.

use super::architecture::Architecture;
use crate::html::escaped;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns:y="http://www.yworks.com/xml/graphml"
  xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://www.yworks.com/xml/schema/graphml/1.1/ygraphml.xsd">
  <key id="d0" for="node" yfiles.type="nodegraphics"/>
  <key id="d1" for="edge" yfiles.type="edgegraphics"/>
  <key id="service" for="node" attr.name="service" attr.type="string"/>
  <key id="package" for="node" attr.name="package" attr.type="string"/>
"#;

/// Nodes, then edges with the names `e1`, `e2` and so on.
pub fn graphml(architecture: &Architecture<'_>) -> String {
    let mut text = String::from(HEAD);
    let name = escaped(architecture.application.name.as_str());
    add!(text, "  <graph id=\"{name}\" edgedefault=\"directed\">\n");
    for it in architecture.nodes() {
        let (name, service) = (escaped(&it.name), escaped(&it.service));
        let label = escaped(it.name.rsplit('.').next().unwrap_or(&it.name));
        add!(
            text,
            "    <node id=\"{name}\"><data key=\"service\">{service}</data><data key=\"package\">{}</data>\
             <data key=\"d0\"><y:ShapeNode><y:NodeLabel>{label}</y:NodeLabel></y:ShapeNode></data></node>\n",
            it.package
        );
    }
    for (place, (source, target)) in architecture.edges().iter().enumerate() {
        let (source, target) = (escaped(source), escaped(target));
        add!(text, "    <edge id=\"e{}\" source=\"{source}\" target=\"{target}\"/>\n", place + 1);
    }
    text.push_str("  </graph>\n</graphml>\n");
    text
}
