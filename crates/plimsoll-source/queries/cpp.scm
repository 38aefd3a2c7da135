([
  (translation_unit (declaration type: (_) @type declarator: [(identifier) @static.name (init_declarator declarator: (identifier) @static.name)]) @static)
  (namespace_definition body: (declaration_list (declaration type: (_) @type declarator: [(identifier) @static.name (init_declarator declarator: (identifier) @static.name)]) @static))
  (compound_statement (declaration (storage_class_specifier "static") type: (_) @type declarator: [(identifier) @static.name (init_declarator declarator: (identifier) @static.name)]) @static)
  (field_declaration_list (field_declaration (storage_class_specifier "static") type: (_) @type declarator: (field_identifier) @static.name) @static)
] (#match? @type "(^|::)(unordered_)?(multi)?(map|set|vector|deque|list|queue|forward_list)<"))
((declaration (type_qualifier) @const declarator: (init_declarator declarator: (identifier) @fixed)) (#match? @const "^const"))

(assignment_expression left: (subscript_expression argument: [(identifier) @grows (qualified_identifier name: (identifier) @grows)]))
(call_expression function: (field_expression argument: [(identifier) @grows (qualified_identifier name: (identifier) @grows)] field: (field_identifier) @add)
  (#any-of? @add "push_back" "emplace_back" "insert" "emplace" "try_emplace" "push" "push_front" "insert_or_assign"))

(init_declarator value: (new_expression) @taken)
(assignment_expression right: (new_expression) @taken)
(delete_expression) @taken.bound.file
(call_expression function: (field_expression field: (field_identifier) @given) (#eq? @given "release")) @given

(declaration type: (qualified_identifier) @type (#eq? @type "std::thread")) @task
(call_expression function: (field_expression field: (field_identifier) @end) (#any-of? @end "join" "detach")) @task.bound.file

(delete_expression) @release
(call_expression function: (field_expression field: (field_identifier) @release) (#any-of? @release "erase" "clear" "reset" "pop_front" "pop_back" "pop" "shrink_to_fit"))
