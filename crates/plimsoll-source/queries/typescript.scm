; Collections of a module and static ones of a class.
([
  (program (lexical_declaration (variable_declarator name: (identifier) @static.name value: (new_expression constructor: (identifier) @new)) @static))
  (program (variable_declaration (variable_declarator name: (identifier) @static.name value: (new_expression constructor: (identifier) @new)) @static))
  (program (export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @static.name value: (new_expression constructor: (identifier) @new)) @static)))
  (public_field_definition "static" name: (property_identifier) @static.name value: (new_expression constructor: (identifier) @new)) @static
] (#any-of? @new "Map" "Set" "Array"))
(program [
  (lexical_declaration (variable_declarator name: (identifier) @static.name value: [(object) (array)]) @static)
  (variable_declaration (variable_declarator name: (identifier) @static.name value: [(object) (array)]) @static)
  (export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @static.name value: [(object) (array)]) @static))
])
(public_field_definition "static" name: (property_identifier) @static.name value: [(object) (array)]) @static
(variable_declarator name: (identifier) @filled value: [(object (_)) (array (_))])
(public_field_definition name: (property_identifier) @filled value: [(object (_)) (array (_))])

(call_expression function: (member_expression object: [(identifier) @grows (member_expression property: (property_identifier) @grows)] property: (property_identifier) @add)
  (#any-of? @add "set" "add" "push" "unshift"))
(assignment_expression left: (subscript_expression object: [(identifier) @grows (member_expression property: (property_identifier) @grows)]))

(call_expression function: [(identifier) @new (member_expression property: (property_identifier) @new)]
  (#any-of? @new "memoize" "memoizeOne" "memoizee")) @cache
(new_expression constructor: (identifier) @new (#any-of? @new "NodeCache" "LRUCache" "LRU")) @cache
(pair key: (property_identifier) @bound (#any-of? @bound "max" "maxKeys" "maxSize" "ttl" "stdTTL" "maxAge")) @cache.bound

(call_expression function: (member_expression property: (property_identifier) @add)
  (#any-of? @add "on" "addEventListener" "addListener" "subscribe")) @listener
(call_expression function: (member_expression property: (property_identifier) @end)
  (#any-of? @end "off" "removeListener" "removeAllListeners" "removeEventListener" "unsubscribe")) @listener.bound.file

(call_expression function: (identifier) @new (#eq? @new "setInterval")) @timer
(call_expression function: (identifier) @end (#eq? @end "clearInterval")) @timer.bound.file

(new_expression constructor: (identifier) @new (#eq? @new "Worker")) @task
(call_expression function: (member_expression property: (property_identifier) @end) (#eq? @end "terminate")) @task.bound.file

(call_expression function: (member_expression property: (property_identifier) @release)
  (#any-of? @release "off" "removeListener" "removeAllListeners" "removeEventListener" "unsubscribe" "delete" "clear" "close" "destroy" "dispose" "terminate"))
(call_expression function: (identifier) @release (#any-of? @release "clearInterval" "clearTimeout"))
(pair key: (property_identifier) @release (#any-of? @release "max" "maxKeys" "maxSize" "ttl" "stdTTL" "maxAge"))
