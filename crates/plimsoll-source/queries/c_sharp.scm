(field_declaration (modifier "static") (variable_declaration type: (_) @type (variable_declarator name: (identifier) @static.name))
  (#match? @type "(Dictionary|List|HashSet|SortedSet|Bag|Queue|Stack|Collection)<")
  (#not-match? @type "^(Immutable|Frozen|IReadOnly|ReadOnly)")) @static
(property_declaration (modifier "static") type: (_) @type name: (identifier) @static.name value: (_)
  (#match? @type "(Dictionary|List|HashSet|SortedSet|Bag|Queue|Stack|Collection)<")
  (#not-match? @type "^(Immutable|Frozen|IReadOnly|ReadOnly)")) @static
(variable_declarator name: (identifier) @filled [(object_creation_expression initializer: (initializer_expression (_))) (implicit_object_creation_expression (initializer_expression (_)))])

(assignment_expression left: (element_access_expression expression: [(identifier) @grows (member_access_expression name: (identifier) @grows)]))
(invocation_expression function: (member_access_expression expression: [(identifier) @grows (member_access_expression name: (identifier) @grows)] name: (identifier) @add)
  (#any-of? @add "Add" "TryAdd" "AddOrUpdate" "GetOrAdd" "AddRange" "Enqueue" "Push" "AddLast" "AddFirst"))

(object_creation_expression type: (identifier) @type (#eq? @type "MemoryCache")) @cache
(assignment_expression left: (identifier) @bound (#any-of? @bound "SizeLimit" "AbsoluteExpirationRelativeToNow" "SlidingExpiration")) @cache.bound.file

(invocation_expression function: (member_access_expression name: (generic_name (identifier) @new)) (#eq? @new "CreateUnbounded")) @queue
(object_creation_expression type: (generic_name (identifier) @type) arguments: (argument_list) @none
  (#eq? @type "BlockingCollection") (#eq? @none "()")) @queue

(assignment_expression left: (_) operator: "+=" right: [(lambda_expression) (anonymous_method_expression)]) @listener
(assignment_expression left: (member_access_expression) operator: "+=" right: [(identifier) @handler (member_access_expression name: (identifier) @handler)]
  (#match? @handler "^(On|Handle)[A-Z]|Handler$|_[A-Z]")) @listener
(assignment_expression operator: "-=") @listener.bound.file
(invocation_expression function: (member_access_expression name: (identifier) @add) (#eq? @add "Subscribe")) @listener
(invocation_expression function: (member_access_expression name: (identifier) @end) (#any-of? @end "Unsubscribe" "DisposeWith")) @listener.bound.file

(invocation_expression function: (member_access_expression expression: (_) @of name: (identifier) @new)
  (#match? @of "Task(\\.Factory)?$") (#any-of? @new "Run" "StartNew")) @task
(object_creation_expression type: (identifier) @type (#eq? @type "Thread")) @task
(await_expression (_) @task.bound)
(invocation_expression function: (member_access_expression name: (identifier) @end) (#any-of? @end "Join" "WhenAll" "WaitAll")) @task.bound.file

(object_creation_expression type: (identifier) @type (#any-of? @type "Timer" "PeriodicTimer")) @timer
(invocation_expression function: (member_access_expression name: (identifier) @end) (#any-of? @end "Dispose" "Stop")) @timer.bound.file

(field_declaration (variable_declaration type: (generic_name (identifier) @type)) (#any-of? @type "ThreadLocal" "AsyncLocal")) @local
(field_declaration (attribute_list (attribute name: (identifier) @name)) (#eq? @name "ThreadStatic")) @local

(invocation_expression function: (member_access_expression expression: (identifier) @of name: (identifier) @take)
  (#any-of? @of "Marshal" "NativeMemory") (#match? @take "^Alloc")) @outside
(invocation_expression function: (member_access_expression expression: (identifier) @of name: (identifier) @end)
  (#any-of? @of "Marshal" "NativeMemory") (#match? @end "^Free")) @outside.bound.file

(invocation_expression function: (member_access_expression name: (identifier) @release)
  (#any-of? @release "Dispose" "Remove" "TryRemove" "Clear" "Unsubscribe" "Stop" "Close" "Evict" "Cancel" "Free" "FreeHGlobal" "Dequeue" "TryDequeue"))
(assignment_expression operator: "-=" right: (identifier)) @release
(assignment_expression left: (identifier) @release (#any-of? @release "SizeLimit" "AbsoluteExpirationRelativeToNow" "SlidingExpiration"))
