drop function take_back_patterns;
