(static_item name: (identifier) @static.name type: (_) @type
  (#match? @type "(Map|Vec|Set|Deque|Slab|List|Cache|Heap)<")) @static
(macro_invocation macro: (identifier) @macro (token_tree) @of (#eq? @macro "lazy_static") (#match? @of "(Map|Vec|Set|Deque)")) @static
(macro_invocation macro: (identifier) @macro (#eq? @macro "thread_local")) @local

(call_expression function: (field_expression value: (call_expression function: (field_expression value:
    (call_expression function: (field_expression value: (identifier) @grows)))) field: (field_identifier) @add)
  (#any-of? @add "insert" "push" "push_back" "entry" "extend"))
(call_expression function: (field_expression value: (call_expression function: (field_expression value: (identifier) @grows)) field: (field_identifier) @add)
  (#any-of? @add "insert" "push" "push_back" "entry" "extend"))
(call_expression function: (field_expression value: (identifier) @grows field: (field_identifier) @add)
  (#any-of? @add "insert" "push" "push_back" "entry" "extend"))

(call_expression function: (scoped_identifier) @how
  (#match? @how "(^|::)((Box|String|Vec)::leak|mem::forget|ManuallyDrop::new|Rc::into_raw|Arc::into_raw|Box::into_raw)$")) @given
(call_expression function: (field_expression field: (field_identifier) @leak) (#eq? @leak "leak")) @given

(call_expression function: [(scoped_identifier name: (identifier) @new) (identifier) @new]
  (#any-of? @new "unbounded_channel" "unbounded")) @queue
(call_expression function: (scoped_identifier) @new (#match? @new "mpsc::channel$") arguments: (arguments) @none (#eq? @none "()")) @queue

(call_expression function: (scoped_identifier) @spawn (#match? @spawn "(thread|tokio|task)::spawn(_blocking)?$")) @task
(call_expression function: (field_expression field: (field_identifier) @end) (#any-of? @end "join" "abort" "abort_all")) @task.bound.file

(call_expression function: (field_expression field: (field_identifier) @release)
  (#any-of? @release "clear" "remove" "pop" "pop_front" "drain" "truncate" "retain" "shrink_to_fit" "abort" "evict" "invalidate"))
(call_expression function: [(identifier) @release (scoped_identifier name: (identifier) @release)] (#any-of? @release "drop" "from_raw"))
